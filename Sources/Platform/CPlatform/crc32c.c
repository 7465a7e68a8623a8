#include "cplatform_memory.h"

#include <pthread.h>
#include <string.h>

// Slicing by eight: table[s][b] is the effect of byte b seen s bytes ago. Polynomial 0x1EDC6F41, reflected.
static uint32_t table[8][256];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill_table(void) {
  for (uint32_t b = 0; b < 256; b++) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0x82F63B78) : 0);
    table[0][b] = crc;
  }
  for (int s = 1; s < 8; s++)
    for (int b = 0; b < 256; b++) table[s][b] = (table[s - 1][b] >> 8) ^ table[0][table[s - 1][b] & 255];
}

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t count) {
  pthread_once(&filled, fill_table);
  for (; count >= 8; p += 8, count -= 8) {
    crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^ table[4][crc >> 24] ^ table[3][p[4]] ^
          table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
  }
  for (; count; p++, count--) crc = (crc >> 8) ^ table[0][(crc ^ *p) & 255];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const unsigned char *p, size_t count) {
  uint64_t wide = crc;
  for (; count >= 8; p += 8, count -= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  crc = (uint32_t)wide;
  for (; count; p++, count--) crc = __builtin_ia32_crc32qi(crc, *p);
  return crc;
}
#endif

uint32_t swiftlet_crc32c(uint32_t crc, const void *bytes, size_t count) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.2")) return ~crc_hardware(~crc, bytes, count);
#endif
  return ~crc_table(~crc, bytes, count);
}

uint32_t swiftlet_crc32c_portable(uint32_t crc, const void *bytes, size_t count) { return ~crc_table(~crc, bytes, count); }
