/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c: by tables of eight bytes a step, or by the processor's instruction in three interleaved streams.
 *
 * Implementation notes. A CRC table is linear: the entry of i is the XOR of the entries of i's bits, so each
 * table is spread at compile time from its eight single-bit entries. The instruction has a latency of three
 * cycles and a throughput of one, so all but short inputs run as three streams; joining them multiplies a stream's
 * state by a power of x (carry-less), and the instruction itself reduces the product.
 */
#include "crc32c.h"

#include "coding.h"

#define SPREAD_1(i, a, b, c, d, e, f, g, h)                                                       \
  ((i)&1 ? a : 0u) ^ ((i)&2 ? b : 0u) ^ ((i)&4 ? c : 0u) ^ ((i)&8 ? d : 0u) ^ ((i)&16 ? e : 0u) ^ \
      ((i)&32 ? f : 0u) ^ ((i)&64 ? g : 0u) ^ ((i)&128 ? h : 0u)
#define SPREAD_4(i, ...)                                                                \
  SPREAD_1(i, __VA_ARGS__), SPREAD_1(i + 1, __VA_ARGS__), SPREAD_1(i + 2, __VA_ARGS__), \
      SPREAD_1(i + 3, __VA_ARGS__)
#define SPREAD_16(i, ...)                                                               \
  SPREAD_4(i, __VA_ARGS__), SPREAD_4(i + 4, __VA_ARGS__), SPREAD_4(i + 8, __VA_ARGS__), \
      SPREAD_4(i + 12, __VA_ARGS__)
#define SPREAD_64(i, ...)                                                                    \
  SPREAD_16(i, __VA_ARGS__), SPREAD_16(i + 16, __VA_ARGS__), SPREAD_16(i + 32, __VA_ARGS__), \
      SPREAD_16(i + 48, __VA_ARGS__)
#define SPREAD(...)                                                                   \
  SPREAD_64(0, __VA_ARGS__), SPREAD_64(64, __VA_ARGS__), SPREAD_64(128, __VA_ARGS__), \
      SPREAD_64(192, __VA_ARGS__)

/* tables[k][i]: the state that byte i leaves after k more zero bytes. */
static const uint32_t tables[8][256] = {
    {SPREAD(0xF26B8303, 0xE13B70F7, 0xC79A971F, 0x8AD958CF, 0x105EC76F, 0x20BD8EDE, 0x417B1DBC, 0x82F63B78)},
    {SPREAD(0x13A29877, 0x274530EE, 0x4E8A61DC, 0x9D14C3B8, 0x3FC5F181, 0x7F8BE302, 0xFF17C604, 0xFBC3FAF9)},
    {SPREAD(0xA541927E, 0x4F6F520D, 0x9EDEA41A, 0x38513EC5, 0x70A27D8A, 0xE144FB14, 0xC76580D9, 0x8B277743)},
    {SPREAD(0xDD45AAB8, 0xBF672381, 0x7B2231F3, 0xF64463E6, 0xE964B13D, 0xD725148B, 0xABA65FE7, 0x52A0C93F)},
    {SPREAD(0x38116FAC, 0x7022DF58, 0xE045BEB0, 0xC5670B91, 0x8F2261D3, 0x1BA8B557, 0x37516AAE, 0x6EA2D55C)},
    {SPREAD(0xEF306B19, 0xDB8CA0C3, 0xB2F53777, 0x6006181F, 0xC00C303E, 0x85F4168D, 0x0E045BEB, 0x1C08B7D6)},
    {SPREAD(0x68032CC8, 0xD0065990, 0xA5E0C5D1, 0x4E2DFD53, 0x9C5BFAA6, 0x3D5B83BD, 0x7AB7077A, 0xF56E0EF4)},
    {SPREAD(0x493C7D27, 0x9278FA4E, 0x211D826D, 0x423B04DA, 0x847609B4, 0x0D006599, 0x1A00CB32, 0x34019664)},
};

static uint32_t eight_bytes(uint32_t state, const uint8_t *p) {
  uint32_t low = state ^ nc_get_u32(p), high = nc_get_u32(p + 4);
  return tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
         tables[4][low >> 24] ^ tables[3][high & 255] ^ tables[2][high >> 8 & 255] ^
         tables[1][high >> 16 & 255] ^ tables[0][high >> 24];
}

uint32_t nc_crc32c_portable(uint32_t crc, const void *data, size_t size) {
  const uint8_t *p = data;
  uint32_t state = ~crc;
  for (; size >= 8; p += 8, size -= 8) state = eight_bytes(state, p);
  for (; size > 0; p++, size--) state = state >> 8 ^ tables[0][(state ^ *p) & 255];
  return ~state;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>

/* Long streams, and shorter ones for what they leave over, and for short inputs. */
enum { LONG_BYTES = 256, SHORT_BYTES = 64 };
/* x to the power 8n - 33, bit-reflected, for n bytes of the streams that follow. */
#define SHIFT_64 0x9E4ADDF8
#define SHIFT_128 0x0D3B6092
#define SHIFT_256 0xB9E02B86
#define SHIFT_512 0xDD7E3B0C

static uint64_t word_at(const uint8_t *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

/* `size` bytes a stream; `one` and `two` are the shifts over one stream and over two. */
__attribute__((target("sse4.2,pclmul"), always_inline)) static inline uint64_t three_streams(
    uint64_t state, const uint8_t *p, size_t size, uint32_t one, uint32_t two) {
  uint64_t second = 0, third = 0;
  for (size_t i = 0; i < size; i += 8) {
    state = _mm_crc32_u64(state, word_at(p + i));
    second = _mm_crc32_u64(second, word_at(p + size + i));
    third = _mm_crc32_u64(third, word_at(p + 2 * size + i));
  }
  const __m128i shifts = _mm_set_epi64x(one, two);
  __m128i states = _mm_set_epi64x((long long)second, (long long)state);
  __m128i product =
      _mm_xor_si128(_mm_clmulepi64_si128(states, shifts, 0x00), _mm_clmulepi64_si128(states, shifts, 0x11));
  return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product)) ^ third;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *p,
                                                                        size_t size) {
  uint64_t state = ~crc;
  for (; size >= 3 * LONG_BYTES; p += 3 * LONG_BYTES, size -= 3 * LONG_BYTES)
    state = three_streams(state, p, LONG_BYTES, SHIFT_256, SHIFT_512);
  for (; size >= 3 * SHORT_BYTES; p += 3 * SHORT_BYTES, size -= 3 * SHORT_BYTES)
    state = three_streams(state, p, SHORT_BYTES, SHIFT_64, SHIFT_128);
  for (; size >= 8; p += 8, size -= 8) state = _mm_crc32_u64(state, word_at(p));
  for (; size > 0; p++, size--) state = _mm_crc32_u8((uint32_t)state, *p);
  return ~(uint32_t)state;
}

uint32_t nc_crc32c(uint32_t crc, const void *data, size_t size) {
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
    return by_instruction(crc, data, size);
  return nc_crc32c_portable(crc, data, size);
}
#else
uint32_t nc_crc32c(uint32_t crc, const void *data, size_t size) {
  return nc_crc32c_portable(crc, data, size);
}
#endif
