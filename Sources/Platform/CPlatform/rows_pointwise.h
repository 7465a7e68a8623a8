// What treats each element by itself: gated activations, exponentials, soft caps, rotations, sums.

INLINE void activate(enum swiftlet_activation f, vf x, vf *value, vf *slope) {
  const vf one = splat(1.f), half = splat(0.5f);
  if (f == SWIFTLET_SILU) {
    const vf s = one / (one + exponential(-x));
    *value = x * s;
    *slope = s * (one + x * (one - s));
  } else if (f == SWIFTLET_GELU_TANH) {
    const vf c = splat(0.797884561f), cubic = splat(0.044715f);
    const vf t = hyperbolic_tangent(c * (x + cubic * x * x * x));
    *value = half * x * (one + t);
    *slope = half * (one + t) + half * x * (one - t * t) * c * (one + splat(3 * 0.044715f) * x * x);
  } else {
    const vf cumulative = half * (one + error_function(x * splat(0.707106781f)));
    *value = x * cumulative;
    *slope = cumulative + x * splat(0.39894228f) * exponential(-half * x * x);
  }
}

INLINE void gate_rows(enum swiftlet_activation f, const float *gate, const float *up, float *y, long n) {
  vf value, slope;
  FOR_EACH({
    activate(f, LD(gate), &value, &slope);
    ST(y, value * LD(up));
  });
}

static void NAME(gate)(enum swiftlet_activation f, const float *gate, const float *up, float *y, long n) {
  switch (f) {
  case SWIFTLET_SILU: return gate_rows(SWIFTLET_SILU, gate, up, y, n);
  case SWIFTLET_GELU_TANH: return gate_rows(SWIFTLET_GELU_TANH, gate, up, y, n);
  case SWIFTLET_GELU_ERF: return gate_rows(SWIFTLET_GELU_ERF, gate, up, y, n);
  }
}

INLINE void gate_rows_backward(enum swiftlet_activation f, const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                               long n) {
  vf value, slope;
  FOR_EACH({
    const vf g = LD(dy);
    const vf u = LD(up);
    activate(f, LD(gate), &value, &slope);
    ST(dgate, g * u * slope);
    ST(dup, g * value);
  });
}

static void NAME(gate_backward)(enum swiftlet_activation f, const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                long n) {
  switch (f) {
  case SWIFTLET_SILU: return gate_rows_backward(SWIFTLET_SILU, gate, up, dy, dgate, dup, n);
  case SWIFTLET_GELU_TANH: return gate_rows_backward(SWIFTLET_GELU_TANH, gate, up, dy, dgate, dup, n);
  case SWIFTLET_GELU_ERF: return gate_rows_backward(SWIFTLET_GELU_ERF, gate, up, dy, dgate, dup, n);
  }
}

// A NaN fails every comparison and stays.
static void NAME(clamped_gate)(float alpha, float limit, const float *gate, const float *up, float *y, long n) {
  const vf one = splat(1.f), a = splat(alpha), most = splat(limit);
  FOR_EACH({
    const vf x = LD(gate);
    const vf z = LD(up);
    const vf g = pick(x > most, most, x);
    const vf u = pick(z > most, most, pick(z < -most, -most, z));
    ST(y, g / (one + exponential(-a * g)) * (u + one));
  });
}

static void NAME(clamped_gate_backward)(float alpha, float limit, const float *gate, const float *up, const float *dy, float *dgate,
                                        float *dup, long n) {
  const vf one = splat(1.f), zero = splat(0.f), a = splat(alpha), most = splat(limit);
  FOR_EACH({
    const vf d = LD(dy);
    const vf x = LD(gate);
    const vf z = LD(up);
    const vf g = pick(x > most, most, x);
    const vf u = pick(z > most, most, pick(z < -most, -most, z));
    const vf s = one / (one + exponential(-a * g));
    ST(dgate, pick(x > most, zero, d * (u + one) * s * (one + a * g * (one - s))));
    ST(dup, pick(z > most, zero, pick(z < -most, zero, d * g * s)));
  });
}

static float NAME(maximum)(const float *z, long n) {
  const float least = -__builtin_inff();
  vf m0 = splat(least), m1 = m0;
  long j = 0;
  for (; j + 32 <= n; j += 32) {
    m0 = larger(load(z + j), m0);
    m1 = larger(load(z + j + 16), m1);
  }
  for (; j + 16 <= n; j += 16) m0 = larger(load(z + j), m0);
  if (j < n) m1 = larger(load_part(z + j, n - j, least), m1);
  return max_lanes(larger(m0, m1));
}

static float NAME(log_sum)(const float *z, long n) {
  const float most = NAME(maximum)(z, n);
  if (most == -__builtin_inff()) return most;
  const vf shift = splat(most);
  vf s0 = splat(0), s1 = s0;
  long j = 0;
  for (; j + 32 <= n; j += 32) {
    s0 += exponential(load(z + j) - shift);
    s1 += exponential(load(z + j + 16) - shift);
  }
  for (; j + 16 <= n; j += 16) s0 += exponential(load(z + j) - shift);
  if (j < n) s1 += exponential(load_part(z + j, n - j, -__builtin_inff()) - shift);
  return most + __builtin_logf(sum_lanes(s0 + s1));
}

static void NAME(exponentials)(float *z, float shift, float factor, long n) {
  const vf s = splat(shift), f = splat(factor);
  FOR_EACH({ ST(z, f * exponential(LD(z) - s)); });
}

static void NAME(cap)(float *z, float scale, float cap, long n) {
  const vf s = splat(scale), c = splat(cap), inverse = splat(1.f / cap);
  if (cap > 0)
    FOR_EACH({ ST(z, c * hyperbolic_tangent(LD(z) * s * inverse)); });
  else
    FOR_EACH({ ST(z, LD(z) * s); });
}

static void NAME(rope)(const float *x, const float *cosines, const float *sines, float sign, long heads, long dimension, long half,
                       bool interleaved, float *y) {
  for (long head = 0; head < heads; head++, x += dimension, y += dimension) {
    long i = 0;
    if (!interleaved)
      for (; i + 16 <= half; i += 16) {
        const vf a = load(x + i), b = load(x + i + half), c = load(cosines + i), s = splat(sign) * load(sines + i);
        store(y + i, a * c - b * s);
        store(y + i + half, b * c + a * s);
      }
    for (; i < half; i++) {
      const long first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
      const float a = x[first], b = x[second], c = cosines[i], s = sign * sines[i];
      y[first] = a * c - b * s;
      y[second] = b * c + a * s;
    }
    if (x != y)
      for (long d = 2 * half; d < dimension; d++) y[d] = x[d];
  }
}

static void NAME(add)(const float *x, const float *z, float *y, long n) { FOR_EACH({ ST(y, LD(x) + LD(z)); }); }
static void NAME(scale)(const float *x, float factor, float *y, long n) {
  const vf f = splat(factor);
  FOR_EACH({ ST(y, LD(x) * f); });
}
