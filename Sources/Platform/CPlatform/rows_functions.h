// Exponential, hyperbolic tangent and error function of whole vectors.

// eˣ to some 1.5 units in the last place: 2ⁿ · e^r, |r| ≤ ½ ln 2; 0 below −87.3 (no denormals), 3.4e38 above 88.7; NaN stays.
INLINE vf exponential(vf x) {
  const vf low = splat(-87.3f), high = splat(88.72f);
  const vi below = x < low;
  x = pick(below, low, x);
  x = pick(x > high, high, x);
  const vf magic = splat(12582912.f);
  const vf shifted = x * splat(1.44269504f) + magic;
  const vf n = shifted - magic;
  const vf r = (x - n * splat(0.693145752f)) - n * splat(1.42860677e-6f);
  vf p = splat(1.392618171e-3f);
  p = p * r + splat(8.363178000e-3f);
  p = p * r + splat(4.166655615e-2f);
  p = p * r + splat(1.666657627e-1f);
  p = p * r + splat(0.5f);
  p = p * (r * r) + r;
  p = p + splat(1.f);
  const vf result = (vf)((vi)p + ((vi)shifted << 23));
  return pick(below, splat(0.f), result);
}

// tanh: an odd polynomial below 0.625, 1 − 2/(e²ˣ + 1) above.
INLINE vf hyperbolic_tangent(vf x) {
  const vf z = x * x;
  const vf t = (vf)((vi)x & 0x7FFFFFFF);
  vf p = splat(-6.045165006e-3f);
  p = p * z + splat(2.096132934e-2f);
  p = p * z + splat(-5.384326354e-2f);
  p = p * z + splat(1.333271861e-1f);
  p = p * z + splat(-3.333332837e-1f);
  const vf small = x + x * (z * p);
  const vf big = splat(1.f) - splat(2.f) / (exponential(t + t) + splat(1.f));
  const vf signed_big = (vf)((vi)big | ((vi)x & (int32_t)0x80000000));
  return pick(t > splat(0.625f), signed_big, small);
}

// erf: an odd polynomial below 0.92, 1 − e^q(x) with q = log erfc above.
INLINE vf error_function(vf x) {
  const vf z = x * x;
  vf t = (vf)((vi)x & 0x7FFFFFFF);
  vf p = splat(8.212780813e-5f);
  p = p * z + splat(-8.105054731e-4f);
  p = p * z + splat(5.197684746e-3f);
  p = p * z + splat(-2.685804293e-2f);
  p = p * z + splat(1.128367111e-1f);
  p = p * z + splat(-3.761263192e-1f);
  p = p * z + splat(1.128379226e+0f);
  const vf small = x * p;
  t = pick(t > splat(4.f), splat(4.f), t);
  vf q = splat(1.643063683e-6f);
  q = q * t + splat(-4.616385922e-5f);
  q = q * t + splat(5.975857493e-4f);
  q = q * t + splat(-4.762625787e-3f);
  q = q * t + splat(2.642763779e-2f);
  q = q * t + splat(-1.100871637e-1f);
  q = q * t + splat(-6.318238974e-1f);
  q = q * t + splat(-1.130231023e+0f);
  q = q * t + splat(3.185396490e-4f);
  const vf big = splat(1.f) - exponential(q);
  const vf signed_big = (vf)((vi)big | ((vi)x & (int32_t)0x80000000));
  return pick(t > splat(0.92f), signed_big, small);
}
