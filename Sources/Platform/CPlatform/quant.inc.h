// The quantisation kernels of one instruction set: included by quant.c for each, which defines NAME. Loops that the compiler vectorises,
// and vectors of 16 numbers where it does not.

// Magnitudes compare as integers; NaN is above all.
static float NAME(absmax)(const float *x, size_t count) {
  const int32_t *const words = (const int32_t *)x;
  int32_t most = 0;
  for (size_t i = 0; i < count; i++) {
    const int32_t size = words[i] & 0x7fffffff;
    most = size > most ? size : most;
  }
  return float_of((uint32_t)most);
}

// The ranks of 16 numbers.
INLINE vi NAME(ranks)(const struct swiftlet_code4 *code, vf x) {
  vi rank = {0};
#pragma clang loop unroll(full)
  for (int t = 0; t < 15; t++) rank -= (vi)(x > code->thresholds[t]);
  return rank;
}

// x has whole vectors of 16; a block is a multiple of them, but for the last.
static void NAME(quantize4)(const struct swiftlet_code4 *code, const float *x, size_t count, size_t block, float *absmax, uint8_t *packed) {
  const bool ordered = code->ranks[1] == 1;
  for (size_t start = 0; start < count; start += block, absmax++) {
    const size_t here = count - start < block ? count - start : block;
    *absmax = NAME(absmax)(x + start, here);
    const float inverse = *absmax > 0 ? 1 / *absmax : 0;
    for (size_t i = start; i < start + here; i += 16) {
      vb codes = __builtin_convertvector(NAME(ranks)(code, *(const vf *)(x + i) * inverse), vb);
      if (!ordered)
        for (int j = 0; j < 16; j++) codes[j] = code->ranks[codes[j]];
      const vh pairs = (vh)codes;
      const vb8 bytes = __builtin_convertvector((pairs << 4 | pairs >> 8) & 0xff, vb8);
      const size_t wanted = (start + here - i + 1) / 2;
      memcpy(packed + i / 2, &bytes, wanted < 8 ? wanted : 8);
    }
  }
}

// Sums in the order of 16 lanes, so that every instruction set has the same bits.
static float NAME(squared_error4)(const struct swiftlet_code4 *code, const float *values, const float *x, const float *weights, size_t count,
                                  float scale) {
  const float inverse = 1 / scale;
  vf sum = {0};
  for (size_t i = 0; i < count; i += 16) {
    const vf number = *(const vf *)(x + i), scaled = number * inverse;
    vi near = (vi)(values[0] - (vf){0});
#pragma clang loop unroll(full)
    for (int t = 0; t < 15; t++) {
      const vi above = (vi)(scaled > code->thresholds[t]), next = (vi)(values[t + 1] - (vf){0});
      near = (next & above) | (near & ~above);
    }
    const vf error = number - (vf)near * scale;
    sum += error * error * *(const vf *)(weights + i);
  }
  float total = 0;
  for (int lane = 0; lane < 16; lane++) total += sum[lane];
  return total;
}

static void NAME(dequantize4)(const float *values, const uint8_t *packed, const float *absmax, size_t first, size_t count, size_t block,
                              float factor, float *out) {
  float table[16];
  for (size_t i = 0; i < count;) {
    const size_t at = first + i, left = block - at % block, here = left < count - i ? left : count - i;
    for (int c = 0; c < 16; c++) table[c] = values[c] * *absmax * factor;
    size_t j = 0;
    if (at % 2 == 1) out[i + j++] = table[packed[at / 2] & 15];
    for (; j + 2 <= here; j += 2) {
      const uint8_t byte = packed[(at + j) / 2];
      out[i + j] = table[byte >> 4];
      out[i + j + 1] = table[byte & 15];
    }
    if (j < here) out[i + j] = table[packed[(at + j) / 2] >> 4];
    i += here;
    absmax++;
  }
}

// Adding 1.5 · 2²³ rounds to an integer.
static void NAME(quantize_int8)(const float *restrict x, float absmax, int8_t *restrict codes, size_t count) {
  const float factor = absmax > 0 ? 127 / absmax : 0;
  for (size_t i = 0; i < count; i++) codes[i] = (int8_t)(bits_of(x[i] * factor + 12582912.f) - 0x4b400000);
}

static void NAME(dequantize_int8)(const int8_t *restrict codes, float absmax, float factor, float *restrict out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = (float)codes[i] * absmax / 127.f * factor;
}

// Numbers of 2⁻⁶ and more round in the integer; smaller ones by adding 2¹⁴, whose last place is theirs.
static void NAME(quantize_e4m3)(const float *restrict x, float scale, uint8_t *restrict codes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const float y = scale > 0 ? x[i] / scale : 0;
    const uint32_t word = bits_of(y), size = word & 0x7fffffff;
    const uint32_t most = size > 0x43e00000 ? 0x43e00000 : size;
    const uint32_t normal = ((most + 0x7ffff + (most >> 20 & 1)) >> 20) - 960;
    const uint32_t small = bits_of(float_of(most) + 16384.f) - 0x46800000;
    const uint32_t code = size > 0x7f800000 ? 0x7f : most >= 0x3c800000 ? normal : small;
    codes[i] = (uint8_t)(word >> 24 & 0x80 | code);
  }
}

// Shifting puts the number 2¹²⁰ too low; multiplying back is exact, for subnormal ones too.
static void NAME(dequantize_e4m3)(const uint8_t *restrict codes, float scale, float factor, float *restrict out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t size = codes[i] & 0x7f, sign = (uint32_t)(codes[i] & 0x80) << 24;
    const float number = float_of(bits_of(float_of(size << 20) * 0x1p120f) | sign);
    out[i] = (size == 0x7f ? float_of(0x7fc00000) : number) * scale * factor;
  }
}

#undef NAME
