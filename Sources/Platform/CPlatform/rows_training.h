// What only training needs: the optimizer's step and dropout with its random numbers.

static void NAME(adamw)(const struct swiftlet_adamw *o, float *p, const float *g, float *m, float *v, long n) {
  const vf scale = splat(o->gradient_scale), l2 = splat(o->l2), gain1 = splat(o->gain1), beta2 = splat(o->beta2), gain2 = splat(o->gain2),
           keep = splat(o->keep), rate = splat(o->rate), root2 = splat(o->root2), epsilon = splat(o->epsilon);
  FOR_EACH({
    const vf old = LD(p);
    const vf slope = LD(g) * scale + l2 * old;
    const vf first = LD(m) + gain1 * (slope - LD(m));
    const vf second = beta2 * LD(v) + gain2 * slope * slope;
    ST(m, first);
    ST(v, second);
    ST(p, old * keep - rate * first / (__builtin_elementwise_sqrt(second) / root2 + epsilon));
  });
}

// Sixteen Philox4x32-10 blocks with counters counter…counter + 15: words[w][lane].
INLINE void philox16(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t words[4][16]) {
  uint32_t c0[16], c1[16], c2[16], c3[16];
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < 16; i++) {
    c0[i] = (uint32_t)(counter + i);
    c1[i] = (uint32_t)((counter + i) >> 32);
    c2[i] = (uint32_t)stream;
    c3[i] = (uint32_t)(stream >> 32);
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 16; i++) {
      const uint64_t p0 = (uint64_t)c0[i] * 0xD2511F53u, p1 = (uint64_t)c2[i] * 0xCD9E8D57u;
      const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = (uint32_t)p1;
      c3[i] = (uint32_t)p0;
      c0[i] = n0;
      c2[i] = n2;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 16; i++) {
    words[0][i] = c0[i];
    words[1][i] = c1[i];
    words[2][i] = c2[i];
    words[3][i] = c3[i];
  }
}

static void NAME(dropout)(const float *x, uint64_t seed, uint64_t stream, uint64_t first, float probability, float keep, bool accumulate,
                          float *y, long n) {
  const uint64_t end = first + (uint64_t)n;
  uint32_t words[4][16];
  for (uint64_t base = first & ~UINT64_C(63); base < end; base += 64) {
    philox16(seed, stream, base >> 2, words);
    const uint64_t from = base < first ? first : base, to = base + 64 < end ? base + 64 : end;
    for (uint64_t place = from; place < to; place++) {
      const uint64_t i = place - first;
      const float uniform = (float)(words[place & 3][(place - base) >> 2] >> 8) * 0x1p-24f;
      const float value = uniform < probability ? 0 : x[i] * keep;
      y[i] = accumulate ? y[i] + value : value;
    }
  }
}
