/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogue_record: what the catalogue says of one table (format/README.md, "Catalogue").
 *
 * The catalogue is itself a table; the key of a record is 'T' ‖ table UUID, its value
 *   u8 state · string name · u64 created ms · u8 compression · varint block bytes · varint filter bits a key
 *   · pin · u8 has pending · [pin · specs] · varint key-file generation · specs · [varint large value bytes
 *   · [varint segment bytes · varint level ratio]]
 *   pin = KEK id · u32 KEK version · KEK commitment[32]
 *   specs = varint count, and for each: string uri, region, principal
 */
#ifndef NC_CATALOGUE_RECORD_H
#define NC_CATALOGUE_RECORD_H

#include "coding.h"
#include "header.h"
#include "status.h"

enum { NC_CATALOGUE_KEY_BYTES = 17 };
#define NC_CATALOGUE_RECORD_BYTES_MAX ((size_t)128 * 1024)

typedef enum nc_table_life {
  NC_TABLE_CREATING = 1, /* its directory may exist in part: a writing open removes it */
  NC_TABLE_LIVE = 2,
  NC_TABLE_DROPPED = 3 /* tombstone: its keys and files may still exist in part, and are to go */
} nc_table_life;

/* Which table key the catalogue vouches for. */
typedef struct nc_kek_pin {
  nc_uuid id;
  uint32_t version;
  uint8_t commitment[NC_COMMITMENT_BYTES];
} nc_kek_pin;

typedef struct nc_key_spec_record {
  nacre_slice uri, region, principal;
} nc_key_spec_record;

/* A table key and the KMS keys that wrap it. */
typedef struct nc_key_record {
  nc_kek_pin pin;
  uint32_t spec_count;
  nc_key_spec_record specs[NACRE_KEY_SPECS_MAX];
} nc_key_record;

typedef struct nc_catalogue_record {
  nc_table_life life;
  nacre_slice name; /* this and the specs point into the decoded bytes */
  uint64_t created_ms;
  uint8_t compression;                       /* nacre_compression */
  uint32_t block_bytes, filter_bits_per_key; /* UINT32_MAX: no filter */
  nc_key_record current, pending; /* pending: a key change that is not yet, or not any more, committed */
  bool has_pending;
  uint64_t key_file_generation;
  uint64_t large_value_bytes; /* 0: the default, as in the next two */
  uint64_t segment_bytes;
  uint32_t level_ratio;
} nc_catalogue_record;

void nc_catalogue_key(const nc_uuid *table, uint8_t out[NC_CATALOGUE_KEY_BYTES]);
NC_MUST_CHECK nacre_status nc_catalogue_key_decode(nacre_slice key, nc_uuid *ret_table, nacre_error *err);
size_t nc_catalogue_record_encode(const nc_catalogue_record *record, void *out,
                                  size_t capacity); /* 0: does not fit */
NC_MUST_CHECK nacre_status nc_catalogue_record_decode(nacre_slice bytes, nc_catalogue_record *ret_record,
                                                      nacre_error *err);

#endif
