// The search for scales with one instruction set: included by blocks_encode.c for each, which defines NAME. Each lane is one part.
//
// 1. A part alone: for a number of step sizes round, then solve for scale and offset by least squares; keep the best; round and solve again.
// 2. The parts of a block together: the shared scales are halves, the parts' are small whole numbers; each part takes the best pair near its
//    own; then the shared scales are solved for by least squares, and so on twice.

INLINE vf NAME(pick)(vi mask, vf a, vf b) { return mask ? a : b; }
INLINE vf NAME(larger)(vf a, vf b) { return a > b ? a : b; }
INLINE vf NAME(smaller)(vf a, vf b) { return a < b ? a : b; }
INLINE vf NAME(all)(float x) { return (vf){0} + x; }
// Adding 1.5 · 2²³ rounds to an integer, ties to even.
INLINE vf NAME(round)(vf x) { return (x + 12582912.f) - 12582912.f; }
INLINE vf NAME(inverse)(vf x) { return NAME(pick)(x != 0.f, NAME(all)(1) / x, NAME(all)(0)); }

// Scale and offset of each lane's part, and their squared error.
struct NAME(fit) {
  vf scale, offset, error;
};
// Sums over the codes q of a part.
struct NAME(sums) {
  vf q, qq, qx;
};

INLINE vf NAME(code)(const struct plan *plan, vf x, vf inverse, vf offset) {
  const vf q = NAME(round)((plan->has_offset ? x + offset : x) * inverse);
  return NAME(larger)(NAME(smaller)(q, NAME(all)((float)plan->most)), NAME(all)((float)plan->least));
}

// The code counted from the least one.
INLINE vi NAME(code_bits)(const struct plan *plan, vf x, vf inverse, vf offset) {
  return __builtin_convertvector(NAME(code)(plan, x, inverse, offset), vi) - plan->least;
}

INLINE struct NAME(sums) NAME(sum)(const struct plan *plan, const vf *x, vf inverse, vf offset) {
  struct NAME(sums) s = {{0}, {0}, {0}};
  for (int j = 0; j < plan->width; j++) {
    const vf q = NAME(code)(plan, x[j], inverse, offset);
    if (plan->has_offset) s.q += q;
    s.qq += q * q;
    s.qx += q * x[j];
  }
  return s;
}

// Best scale and offset for given codes.
INLINE struct NAME(fit) NAME(solve)(const struct plan *plan, struct NAME(sums) s, vf x, vf xx) {
  const float n = (float)plan->width;
  struct NAME(fit) f;
  f.scale = s.qx * NAME(inverse)(s.qq);
  f.offset = NAME(all)(0);
  if (plan->has_offset) {
    const vf inverse = NAME(inverse)(s.qq * n - s.q * s.q);
    const vf scale = (s.qx * n - x * s.q) * inverse, offset = (s.qx * s.q - x * s.qq) * inverse;
    const vi is_good = (inverse > 0.f) & (offset > 0.f) & (scale > 0.f);
    f.scale = NAME(pick)(is_good, scale, NAME(larger)(f.scale, NAME(all)(0)));
    f.offset = NAME(pick)(is_good, offset, f.offset);
  }
  f.error = xx + f.scale * (f.scale * s.qq - 2.f * s.qx);
  if (plan->has_offset) f.error = f.error + f.offset * (f.offset * n + 2.f * x - 2.f * f.scale * s.q);
  return f;
}

INLINE void NAME(keep)(struct NAME(fit) *best, struct NAME(fit) new) {
  const vi is_better = new.error < best->error;
  best->scale = NAME(pick)(is_better, new.scale, best->scale);
  best->offset = NAME(pick)(is_better, new.offset, best->offset);
  best->error = NAME(pick)(is_better, new.error, best->error);
}

// Step 1.
INLINE struct NAME(fit) NAME(alone)(const struct plan *plan, const vf *x) {
  vf low = x[0], high = x[0], sum = {0}, squares = {0};
  for (int j = 0; j < plan->width; j++) {
    low = NAME(smaller)(low, x[j]);
    high = NAME(larger)(high, x[j]);
    sum += x[j];
    squares += x[j] * x[j];
  }
  struct NAME(fit) best = {NAME(all)(0), NAME(all)(0), squares};
  if (plan->has_offset) {
    low = NAME(smaller)(low, NAME(all)(0));
    const vf inverse = NAME(inverse)(high - low);
    // A part of one number below zero is all offset.
    const vi is_flat = high - low == 0.f;
    const vf exact = NAME(pick)(is_flat, NAME(all)(0), best.error);
    best = (struct NAME(fit)){NAME(all)(0), NAME(pick)(is_flat, -low, NAME(all)(0)), exact};
    for (int end = 0; end < plan->tries.ends; end++)
      for (int k = 0; k < plan->tries.steps; k++) {
        const vf codes = inverse * ((float)plan->most + plan->tries.first + plan->tries.step * (float)k);
        NAME(keep)(&best, NAME(solve)(plan, NAME(sum)(plan, x, codes, -low * (1.f - 0.12f * (float)end)), sum, squares));
      }
  } else {
    // The largest magnitude gets the least code, which is one further from zero than the largest.
    const vf inverse = NAME(inverse)(NAME(pick)(high > -low, high, low));
    for (int k = 0; k < plan->tries.steps; k++) {
      const vf codes = inverse * ((float)plan->least + plan->tries.first + plan->tries.step * (float)k);
      NAME(keep)(&best, NAME(solve)(plan, NAME(sum)(plan, x, codes, NAME(all)(0)), sum, squares));
    }
  }
  for (int round = 0; round < plan->tries.rounds; round++)
    NAME(keep)(&best, NAME(solve)(plan, NAME(sum)(plan, x, NAME(inverse)(best.scale), best.offset), sum, squares));
  return best;
}

// What each lane's block has in all its lanes.
INLINE vf NAME(together)(vf x, int parts, bool takes_largest) {
  float lanes[LANES];
  memcpy(lanes, &x, sizeof lanes);
  for (int start = 0; start < LANES; start += parts) {
    float value = lanes[start];
    for (int i = start + 1; i < start + parts; i++)
      value = takes_largest ? (__builtin_fabsf(lanes[i]) > __builtin_fabsf(value) ? lanes[i] : value) : value + lanes[i];
    for (int i = start; i < start + parts; i++) lanes[i] = value;
  }
  memcpy(&x, lanes, sizeof lanes);
  return x;
}

// The bits of the nearest halves, ties to even: `half_of` in lanes.
INLINE vi NAME(half_bits)(vf x) {
  const vi word = (vi)x, sign = word >> 16 & 0x8000, size = word & 0x7fffffff;
  const vi beyond = size > 0x7f800000 ? (vi)0x7e00 : (vi)0x7c00;
  const vi normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
  const vi small = (vi)((vf)size + 0.5f) - 0x3f000000;
  return sign | (size >= 0x47800000 ? beyond : size >= 0x38800000 ? normal : small);
}

// The nearest halves as numbers.
INLINE vf NAME(halves)(vf x) {
  const vi half = NAME(half_bits)(x);
  return (vf)((vi)((vf)((half & 0x7fff) << 13) * 0x1p112f) | (half & 0x8000) << 16);
}

// The codes of scales for given shared ones.
struct NAME(shared) {
  vf scale, least, scales, offsets, error;
};

INLINE vf NAME(error)(const struct plan *plan, const vf *x, vf scale, vf offset) {
  const vf inverse = NAME(inverse)(scale);
  vf error = {0};
  for (int j = 0; j < plan->width; j++) {
    const vf miss = NAME(code)(plan, x[j], inverse, offset) * scale - offset - x[j];
    error += miss * miss;
  }
  return error;
}

// Each part takes the codes near its own scale and offset that lose least.
INLINE struct NAME(shared) NAME(near)(const struct plan *plan, const vf *x, struct NAME(fit) fit, vf scale, vf least) {
  struct NAME(shared) best = {scale, least, NAME(all)(0), NAME(all)(0), NAME(all)(__builtin_inff())};
  const vf most = NAME(all)((float)plan->scale_most), low = plan->has_offset ? NAME(all)(0) : -most - 1.f;
  const vf s = NAME(round)(NAME(larger)(NAME(smaller)(fit.scale * NAME(inverse)(scale), most), low));
  const vf m = NAME(round)(NAME(larger)(NAME(smaller)(fit.offset * NAME(inverse)(least), most), NAME(all)(0)));
  const int reach = plan->has_offset ? 1 : 0;
  for (int a = -1; a <= 1; a++)
    for (int b = -reach; b <= reach; b++) {
      const vf sa = NAME(larger)(NAME(smaller)(s + (float)a, most), low);
      const vf mb = NAME(larger)(NAME(smaller)(m + (float)b, most), NAME(all)(0));
      const vf error = NAME(error)(plan, x, sa * scale, mb * least);
      const vi is_better = error < best.error;
      best.scales = NAME(pick)(is_better, sa, best.scales);
      best.offsets = NAME(pick)(is_better, mb, best.offsets);
      best.error = NAME(pick)(is_better, error, best.error);
    }
  return best;
}

// The shared scales that are best for the codes of `s`.
INLINE void NAME(resolve)(const struct plan *plan, const vf *x, struct NAME(shared) s, vf *scale, vf *least) {
  const struct NAME(sums) u = NAME(sum)(plan, x, NAME(inverse)(s.scale * s.scales), s.least * s.offsets);
  vf sum = {0};
  for (int j = 0; j < plan->width; j++) sum += x[j];
  const int parts = plan->parts;
  const vf aa = NAME(together)(u.qq * s.scales * s.scales, parts, false), ax = NAME(together)(u.qx * s.scales, parts, false);
  if (!plan->has_offset) {
    *scale = ax * NAME(inverse)(aa);
    return;
  }
  const vf ab = NAME(together)(u.q * s.scales * s.offsets, parts, false), bx = NAME(together)(sum * s.offsets, parts, false);
  const vf bb = NAME(together)(s.offsets * s.offsets * (float)plan->width, parts, false);
  const vf inverse = NAME(inverse)(aa * bb - ab * ab);
  *scale = NAME(pick)(inverse != 0.f, (ax * bb - ab * bx) * inverse, ax * NAME(inverse)(aa));
  *least = NAME(pick)(inverse != 0.f, (ax * ab - bx * aa) * inverse, NAME(all)(0));
  *scale = NAME(larger)(*scale, NAME(all)(0));
  *least = NAME(larger)(*least, NAME(all)(0));
}

INLINE void NAME(write)(const struct plan *plan, const vf *x, struct NAME(shared) s, struct coded *out) {
  const vf scale = s.scale * s.scales, offset = s.least * s.offsets, inverse = NAME(inverse)(scale);
  const vi half = NAME(half_bits)(s.scale), least = NAME(half_bits)(s.least);
  memcpy(out->scale, &half, sizeof half);
  memcpy(out->least, &least, sizeof least);
  const vi scales = __builtin_convertvector(s.scales, vi), offsets = __builtin_convertvector(s.offsets, vi);
  memcpy(out->scales, &scales, sizeof scales);
  memcpy(out->offsets, &offsets, sizeof offsets);
  const int bytes = plan->is_paired ? plan->width / 2 : plan->width;
  for (int j = 0; j < bytes; j += 4) {
    vi four = {0};
    for (int k = 0; k < 4; k++) {
      vi code = NAME(code_bits)(plan, x[j + k], inverse, offset);
      if (plan->is_paired) code |= NAME(code_bits)(plan, x[j + k + bytes], inverse, offset) << 4;
      four |= code << (8 * k);
    }
    int32_t lanes[LANES];
    memcpy(lanes, &four, sizeof lanes);
    for (int lane = 0; lane < LANES; lane++) memcpy(out->codes[lane] + j, lanes + lane, 4);
  }
}

// Numbers j … j + 15 of each lane's part. Interleaving one half of the vectors with the other four times turns rows into columns.
INLINE void NAME(columns)(const float *numbers, int width, vf *x) {
  for (int lane = 0; lane < LANES; lane++) memcpy(x + lane, numbers + lane * width, sizeof *x);
  for (int round = 0; round < 4; round++) {
    vf y[LANES];
    for (int i = 0; i < LANES / 2; i++) {
      const vf a = x[i], b = x[i + LANES / 2];
      y[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      y[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    memcpy(x, y, sizeof y);
  }
}

INLINE void NAME(search_with)(const struct plan *plan, const float *numbers, struct coded *out) {
  vf x[LONGEST];
  for (int j = 0; j < plan->width; j += LANES) NAME(columns)(numbers + j, plan->width, x + j);
  const struct NAME(fit) fit = NAME(alone)(plan, x);
  if (plan->parts == 1) {
    NAME(write)(plan, x, (struct NAME(shared)){NAME(halves)(fit.scale), NAME(all)(0), NAME(all)(1), NAME(all)(0), fit.error}, out);
    return;
  }
  // Signed scales reach one further below zero than above.
  const float steps = plan->has_offset ? (float)plan->scale_most : -(float)plan->scale_most - 1.f;
  vf scale = NAME(together)(fit.scale, plan->parts, true) / steps, least = NAME(together)(fit.offset, plan->parts, true) / steps;
  struct NAME(shared) best = {NAME(all)(0), NAME(all)(0), NAME(all)(0), NAME(all)(0), NAME(all)(__builtin_inff())};
  for (int round = 0; round < 3; round++) {
    struct NAME(shared) new = NAME(near)(plan, x, fit, NAME(halves)(scale), NAME(halves)(least));
    new.error = NAME(together)(new.error, plan->parts, false);
    const vi is_better = new.error < best.error;
    best.scale = NAME(pick)(is_better, new.scale, best.scale);
    best.least = NAME(pick)(is_better, new.least, best.least);
    best.scales = NAME(pick)(is_better, new.scales, best.scales);
    best.offsets = NAME(pick)(is_better, new.offsets, best.offsets);
    best.error = NAME(pick)(is_better, new.error, best.error);
    NAME(resolve)(plan, x, best, &scale, &least);
  }
  NAME(write)(plan, x, best, out);
}

// One copy for each format, so that the loops know their bounds.
static void NAME(search)(int format, const float *x, struct coded *out) {
  switch (format) {
  case SWIFTLET_BLOCK_Q4_0: return NAME(search_with)(&plans[0], x, out);
  case SWIFTLET_BLOCK_Q2_K: return NAME(search_with)(&plans[1], x, out);
  case SWIFTLET_BLOCK_Q3_K: return NAME(search_with)(&plans[2], x, out);
  case SWIFTLET_BLOCK_Q4_K: return NAME(search_with)(&plans[3], x, out);
  case SWIFTLET_BLOCK_Q5_K: return NAME(search_with)(&plans[4], x, out);
  default: return NAME(search_with)(&plans[5], x, out);
  }
}
#undef NAME
