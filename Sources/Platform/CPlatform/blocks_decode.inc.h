// The block formats with one instruction set: included by blocks_decode.c for each, which defines NAME.

static inline float NAME(half_at)(const uint8_t *bytes) {
  const uint32_t half = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
  const uint32_t size = (half & 0x7fff) << 13, special = (half & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
  float number;
  memcpy(&number, &size, 4);
  // Shifting puts the number 2^112 too low; multiplying back is exact, for subnormal ones too.
  number *= 0x1p112f;
  uint32_t bits;
  memcpy(&bits, &number, 4);
  bits |= special | (half & 0x8000) << 16;
  memcpy(&number, &bits, 4);
  return number;
}

// 32 numbers of four or five bits: `high` holds the fifth bits, 0 for none.
static inline void NAME(small_block)(const uint8_t *low, uint32_t high, float scale, float zero, float offset, float *out) {
  for (int j = 0; j < 16; j++) {
    const int a = (low[j] & 15) | (int)(high >> j & 1) << 4, b = low[j] >> 4 | (int)(high >> (j + 16) & 1) << 4;
    out[j] = ((float)a - zero) * scale + offset;
    out[j + 16] = ((float)b - zero) * scale + offset;
  }
}

static inline uint32_t NAME(word_at)(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void NAME(q8_0)(const uint8_t *block, float *out) {
  const float scale = NAME(half_at)(block);
  for (int j = 0; j < 32; j++) out[j] = (float)(int8_t)block[2 + j] * scale;
}

// A power of two for all, 16 numbers of four bits.
static void NAME(mxfp4)(const uint8_t *block, float *out) {
  static const float numbers[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  const uint32_t bits = block[0] == 0 ? 0x00400000 : (uint32_t)block[0] << 23;
  float scale;
  memcpy(&scale, &bits, 4);
  for (int j = 0; j < 16; j++) {
    out[j] = numbers[block[1 + j] & 15] * scale;
    out[j + 16] = numbers[block[1 + j] >> 4] * scale;
  }
}

// Scale and offset j of 8, six bits each, in 12 bytes.
static inline void NAME(six_bits)(const uint8_t *packed, int j, int *scale, int *offset) {
  if (j < 4) {
    *scale = packed[j] & 63;
    *offset = packed[j + 4] & 63;
  } else {
    *scale = (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
    *offset = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
  }
}

// q4_K without, q5_K with a plane of fifth bits.
static inline void NAME(q45_k)(const uint8_t *block, bool has_high, float *out) {
  const float scale = NAME(half_at)(block), least = NAME(half_at)(block + 2);
  const uint8_t *const packed = block + 4, *const high = block + 16, *const low = block + (has_high ? 48 : 16);
  for (int j = 0; j < 8; j++) {
    int s, m;
    NAME(six_bits)(packed, j, &s, &m);
    const float d = scale * (float)s, offset = least * (float)m;
    for (int l = 0; l < 32; l++) {
      const int code = low[j / 2 * 32 + l] >> (j % 2 * 4) & 15;
      const int fifth = has_high ? (high[l] >> j & 1) << 4 : 0;
      out[j * 32 + l] = d * (float)(code | fifth) - offset;
    }
  }
}

static void NAME(q6_k)(const uint8_t *block, float *out) {
  const float scale = NAME(half_at)(block + 208);
  for (int part = 0; part < 16; part++) {
    const int plane = part / 2, place = part % 2 * 16;
    const uint8_t *const low = block + plane / 4 * 64 + plane % 2 * 32 + place, *const high = block + 128 + plane / 4 * 32 + place;
    const float d = scale * (float)(int8_t)block[192 + part];
    for (int l = 0; l < 16; l++) {
      const int four = low[l] >> (plane % 4 / 2 * 4) & 15, two = high[l] >> (plane % 4 * 2) & 3;
      out[part * 16 + l] = d * (float)((four | two << 4) - 32);
    }
  }
}

static void NAME(q2_k)(const uint8_t *block, float *out) {
  const float scale = NAME(half_at)(block + 80), least = NAME(half_at)(block + 82);
  for (int part = 0; part < 16; part++) {
    const float d = scale * (float)(block[part] & 15), offset = least * (float)(block[part] >> 4);
    const uint8_t *const codes = block + 16 + part / 8 * 32 + part % 2 * 16;
    for (int l = 0; l < 16; l++) out[part * 16 + l] = d * (float)(codes[l] >> (part % 8 / 2 * 2) & 3) - offset;
  }
}

static void NAME(q3_k)(const uint8_t *block, float *out) {
  const float scale = NAME(half_at)(block + 108);
  const uint8_t *const packed = block + 96;
  for (int part = 0; part < 16; part++) {
    const int four = packed[part % 8] >> (part / 8 * 4) & 15, two = packed[8 + part % 4] >> (part / 4 * 2) & 3;
    const float d = scale * (float)((four | two << 4) - 32);
    const uint8_t *const codes = block + 32 + part / 8 * 32 + part % 2 * 16, *const high = block + part % 2 * 16;
    for (int l = 0; l < 16; l++) {
      const int code = (codes[l] >> (part % 8 / 2 * 2) & 3) - (high[l] >> (part / 2) & 1 ? 0 : 4);
      out[part * 16 + l] = d * (float)code;
    }
  }
}

static void NAME(decode)(int format, const uint8_t *codes, size_t blocks, float *out) {
  const size_t bytes = swiftlet_block_bytes(format), numbers = swiftlet_block_numbers(format);
  for (size_t i = 0; i < blocks; i++, codes += bytes, out += numbers) {
    switch (format) {
    case SWIFTLET_BLOCK_Q4_0: NAME(small_block)(codes + 2, 0, NAME(half_at)(codes), 8, 0, out); break;
    case SWIFTLET_BLOCK_Q4_1: NAME(small_block)(codes + 4, 0, NAME(half_at)(codes), 0, NAME(half_at)(codes + 2), out); break;
    case SWIFTLET_BLOCK_Q5_0: NAME(small_block)(codes + 6, NAME(word_at)(codes + 2), NAME(half_at)(codes), 16, 0, out); break;
    case SWIFTLET_BLOCK_Q5_1: NAME(small_block)(codes + 8, NAME(word_at)(codes + 4), NAME(half_at)(codes), 0, NAME(half_at)(codes + 2), out); break;
    case SWIFTLET_BLOCK_Q8_0: NAME(q8_0)(codes, out); break;
    case SWIFTLET_BLOCK_MXFP4: NAME(mxfp4)(codes, out); break;
    case SWIFTLET_BLOCK_Q2_K: NAME(q2_k)(codes, out); break;
    case SWIFTLET_BLOCK_Q3_K: NAME(q3_k)(codes, out); break;
    case SWIFTLET_BLOCK_Q4_K: NAME(q45_k)(codes, false, out); break;
    case SWIFTLET_BLOCK_Q5_K: NAME(q45_k)(codes, true, out); break;
    default: NAME(q6_k)(codes, out);
    }
  }
}

#undef NAME
