// Sums of a row, products of two, and the norm made of them.

static float NAME(dot)(const float *x, const float *y, long n) {
#define TERM(j, s) load(x + (j)) * load(y + (j)) + s
#define PART(j, s) load_part(x + (j), n - (j), 0) * load_part(y + (j), n - (j), 0) + s
  SUM_OF(TERM, PART);
#undef TERM
#undef PART
}

static float NAME(sum)(const float *x, long n) {
#define TERM(j, s) load(x + (j)) + s
#define PART(j, s) load_part(x + (j), n - (j), 0) + s
  SUM_OF(TERM, PART);
#undef TERM
#undef PART
}

static void NAME(rms_norm)(const float *x, const float *w, float offset, float epsilon, float *y, long n) {
  const vf r = splat(1.f / __builtin_sqrtf(NAME(dot)(x, x, n) / (float)n + epsilon));
  const vf one = splat(offset);
  FOR_EACH({ ST(y, LD(x) * r * (one + LD(w))); });
}

static float NAME(weighted_dot)(const float *x, const float *y, const float *w, float offset, long n) {
  const vf one = splat(offset);
#define TERM(j, s) load(x + (j)) * load(y + (j)) * (one + load(w + (j))) + s
#define PART(j, s) load_part(x + (j), n - (j), 0) * load_part(y + (j), n - (j), 0) * (one + load_part(w + (j), n - (j), 0)) + s
  SUM_OF(TERM, PART);
#undef TERM
#undef PART
}

static void NAME(rms_norm_backward)(const float *x, const float *w, float offset, float epsilon, const float *dy, float *dx,
                                    bool accumulate, float *dw, long n) {
  const float r = 1.f / __builtin_sqrtf(NAME(dot)(x, x, n) / (float)n + epsilon);
  const vf root = splat(r), one = splat(offset);
  if (dw) FOR_EACH({ ST(dw, LD(dy) * (LD(x) * root) + LD(dw)); });
  if (!dx) return;
  const vf pull = splat(NAME(weighted_dot)(x, dy, w, offset, n) * r * r / (float)n);
  if (accumulate)
    FOR_EACH({ ST(dx, LD(dx) + root * (LD(dy) * (one + LD(w)) - LD(x) * pull)); });
  else
    FOR_EACH({ ST(dx, root * (LD(dy) * (one + LD(w)) - LD(x) * pull)); });
}
