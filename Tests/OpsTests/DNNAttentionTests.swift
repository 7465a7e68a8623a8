import SwiftletCUDA
import SwiftletTensorCore
import SwiftletOps
import Testing

/// When attention's gradients come from cuDNN, and what that takes: decided and counted without a GPU.
@Suite struct DNNAttentionTests {
  private let options = AttentionOptions(heads: 4, keyValueHeads: 2, headDimension: 64, scale: 0.125)

  private func device(_ ordinal: Int, capability: (Int, Int) = (9, 0)) -> Device {
    let gpu = CUDADevice.simulated(capability: capability, memory: 1 << 40, ordinal: ordinal)
    gpu.prefersDNN = true
    return .cuda(ordinal)
  }

  private func isUsed(_ lengths: [Int], _ options: AttentionOptions, _ dtype: DType = .bfloat16, on device: Device) -> Bool {
    let layout = SequenceLayout(lengths: lengths)
    let q = Tensor(uninitialized: [layout.queries, options.heads * options.headDimension], dtype, on: device)
    return takesGradientsFromDNN(q, layout: layout, options)
  }

  @Test func longSequencesOfOneLengthOnly() {
    let device = device(2101)
    #expect(isUsed([8192, 8192], options, on: device))
    #expect(isUsed([8192], options, .float16, on: device))
    #expect(!isUsed([8192, 8191], options, on: device))
    #expect(!isUsed([4096, 4096], options, on: device))
    #expect(!isUsed([], options, on: device))
    #expect(!isUsed([8192], options, .float32, on: device))
    var other = options
    other.window = 100
    #expect(!isUsed([8192], other, on: device))
    other = options
    other.softCap = 30
    #expect(!isUsed([8192], other, on: device))
    other = options
    other.headDimension = 96
    #expect(!isUsed([8192], other, on: device))
    device.gpu.prefersDNN = false
    #expect(!isUsed([8192], options, on: device))
    #expect(!isUsed([8192], options, on: self.device(2102, capability: (7, 5))))
  }

  @Test func itsMemoryIsCounted() {
    let device = device(2103)
    let (rows, width) = (8192, 4 * 64)
    let tape = Tape()
    let inputs = [width, width / 2, width / 2].map { tape.watch(Tensor(uninitialized: [rows, $0], .bfloat16, on: device), for: Sink()) }
    let output = attention(inputs[0], inputs[1], inputs[2], layout: SequenceLayout(lengths: [rows]), options)
    let seed = Tensor(uninitialized: output.shape, .bfloat16, on: device)
    let memory = device.gpu.memory
    memory.resetPeak()
    let before = memory.liveBytes
    tape.backward(from: output, seed: seed)
    // dq in float32 and as much again for cuDNN, a number a row and head, the gradients.
    let wanted = 2 * rows * width * 4 + 256 + rows * 4 * 4 + rows * 2 * width * 2
    #expect(memory.peakBytes - before == wanted)
  }

  private final class Sink: GradientSink {
    func lend() -> Tensor? { nil }
    func accumulate(_ new: consuming Tensor) {}
  }
}
