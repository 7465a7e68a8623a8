import SwiftletCUDA

/// Kernels that exercise the platform.
enum CheckKernels {
  static let source = KernelSource(
    name: "Check.cu", text: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount), headers: [])

  private static let text: StaticString = """
    typedef unsigned long long uint64;
    struct alignas(64) Map { uint64 words[16]; };

    extern "C" __global__ void affine(float *y, const float *x, float scale, float shift, int n) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) y[i] = fmaf(x[i], scale, shift);
    }

    extern "C" __global__ void every_type(uint64 *out, const void *p, int a, unsigned b, long long c, uint64 d, float e, int last) {
      out[0] = (uint64)p;
      out[1] = (uint64)(long long)a;
      out[2] = b;
      out[3] = (uint64)c;
      out[4] = d;
      out[5] = __float_as_uint(e);
      out[6] = (uint64)(long long)last;
      out[7] = VALUE;
    }

    extern "C" __global__ void reverse(int *y, const int *x, int n) {
      extern __shared__ int buffer[];
      for (int i = threadIdx.x; i < n; i += blockDim.x) buffer[i] = x[i];
      __syncthreads();
      for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = buffer[n - 1 - i];
    }

    extern "C" __global__ void spin(long long cycles) {
      long long start = clock64();
      while (clock64() - start < cycles) {}
    }

    extern "C" __global__ void six(float *a, float *b, float *c, int m, int n, float s) {
      if (m == -1) a[n] = b[n] + c[n] * s;
    }

    // One block copies a box of 64 × 32 numbers from column x0, row y0 of a matrix.
    extern "C" __global__ void load_box(unsigned short *y, const __grid_constant__ Map map, int x0, int y0) {
    #if __CUDA_ARCH__ >= 900
      __shared__ alignas(1024) unsigned short box[64 * 32];
      __shared__ alignas(8) uint64 barrier;
      unsigned to = (unsigned)__cvta_generic_to_shared(box), bar = (unsigned)__cvta_generic_to_shared(&barrier);
      if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar) : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(64 * 32 * 2) : "memory");
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                     ::"r"(to), "l"(&map), "r"(x0), "r"(y0), "r"(bar) : "memory");
      }
      __syncthreads();
      unsigned done = 0;
      while (!done)
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                     : "=r"(done) : "r"(bar) : "memory");
      for (int i = threadIdx.x; i < 64 * 32; i += blockDim.x) y[i] = box[i];
    #endif
    }
    """

  /// A kernel of the source; `value` specialises it.
  static func kernel(_ function: StaticString, value: Int = 1, on device: CUDADevice) -> CUDAKernel {
    device.kernel(source, function, [KernelDefine("VALUE", value)])
  }
}
