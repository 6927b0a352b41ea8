/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_entry: one put, delete or range delete, of a block or of a log. The catalogue's are records about tables, shown as
 * such; one that is none is shown as the bytes that it is.
 */
#include "catalogue_record.h"
#include "dump.h"

static const char *kind_name(nc_kind kind) {
  switch (kind) {
    case NC_KIND_PUT:
      return "put";
    case NC_KIND_DELETE:
      return "delete";
    case NC_KIND_EXPIRING:
      return "expiring put";
    case NC_KIND_RANGE_DELETE:
      return "range delete";
    case NC_KIND_LARGE:
      return "large put";
  }
  return "unknown";
}

static const char *life_name(nc_table_life life) {
  switch (life) {
    case NC_TABLE_CREATING:
      return "creating";
    case NC_TABLE_LIVE:
      return "live";
    case NC_TABLE_DROPPED:
      return "dropped";
  }
  return "unknown";
}

static bool show_catalogue_record(emit *e, const nc_entry *entry) {
  nc_catalogue_record record;
  nc_uuid table;
  nacre_error ignored;
  if (nc_catalogue_key_decode(entry->key, &table, &ignored) != NACRE_OK) return false;
  bool put = entry->kind == NC_KIND_PUT;
  if (put && nc_catalogue_record_decode(entry->value, &record, &ignored) != NACRE_OK) return false;
  tool_emit_uuid(e, "table", &table);
  if (!put) return true;
  tool_emit_bytes(e, "name", record.name);
  tool_emit_text(e, "state", life_name(record.life));
  tool_emit_number(e, "created_unix_ms", record.created_ms);
  tool_emit_uuid(e, "kek_id", &record.current.pin.id);
  tool_emit_number(e, "kek_version", record.current.pin.version);
  tool_emit_number(e, "key_file_generation", record.key_file_generation);
  return true;
}

/* Where the value is; a reference that is none is shown as the bytes that it is. */
static void show_reference(emit *e, nacre_slice value) {
  nc_value_reference reference;
  if (nc_value_reference_decode(value, &reference, NULL) != NACRE_OK) {
    tool_emit_bytes(e, "value", value);
    return;
  }
  if (reference.expires_ms != 0) tool_emit_number(e, "expires_unix_ms", reference.expires_ms);
  tool_emit_value_name(e, &reference.name);
}

void tool_dump_entry(dump *d, const nc_entry *entry) {
  tool_emit_begin(&d->emit, "entries");
  tool_emit_number(&d->emit, "sequence", entry->sequence);
  tool_emit_text(&d->emit, "kind", kind_name(entry->kind));
  if (!d->catalogue || !show_catalogue_record(&d->emit, entry)) {
    tool_emit_bytes(&d->emit, "key", entry->key);
    if (entry->kind == NC_KIND_PUT) tool_emit_bytes(&d->emit, "value", entry->value);
    if (entry->kind == NC_KIND_EXPIRING) {
      const uint8_t *value = entry->value.data;
      tool_emit_number(&d->emit, "expires_unix_ms", nc_get_u64(value));
      tool_emit_bytes(&d->emit, "value",
                      nc_slice(value + NC_EXPIRY_BYTES, entry->value.size - NC_EXPIRY_BYTES));
    }
    if (entry->kind == NC_KIND_RANGE_DELETE) tool_emit_bytes(&d->emit, "to_excluded", entry->value);
    if (entry->kind == NC_KIND_LARGE) show_reference(&d->emit, entry->value);
  }
  tool_emit_end(&d->emit);
}
