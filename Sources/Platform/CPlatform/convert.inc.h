// Loops that the compiler vectorises for the instruction set of NAME.
static void NAME(to_f32)(float *restrict out, const void *restrict in, enum swiftlet_float type, size_t count) {
  const uint16_t *const bits = in;
  if (type == SWIFTLET_F32) memcpy(out, in, count * sizeof(float));
  else if (type == SWIFTLET_BF16)
    for (size_t i = 0; i < count; i++) ((uint32_t *)out)[i] = (uint32_t)bits[i] << 16;
  else
    for (size_t i = 0; i < count; i++) out[i] = HALF_TO_FLOAT(bits[i]);
}

static void NAME(from_f32)(void *restrict out, enum swiftlet_float type, const float *restrict in, size_t count) {
  const uint32_t *const words = (const uint32_t *)in;
  uint16_t *const bits = out;
  if (type == SWIFTLET_F32) memcpy(out, in, count * sizeof(float));
  else if (type == SWIFTLET_BF16)
    for (size_t i = 0; i < count; i++) {
      const uint32_t w = words[i], rounded = (w + 0x7fff + (w >> 16 & 1)) >> 16, nan = w >> 16 | 0x40;
      bits[i] = (uint16_t)((w & 0x7fffffff) > 0x7f800000 ? nan : rounded);
    }
  else
    for (size_t i = 0; i < count; i++) bits[i] = FLOAT_TO_HALF(in[i]);
}
#undef NAME
#undef HALF_TO_FLOAT
#undef FLOAT_TO_HALF
