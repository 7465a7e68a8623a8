import SwiftletCPU
import SwiftletCUDA
import Testing

/// What holds without a GPU too.
@Suite struct CUDATests {
  @Test func whatIsMissingIsNamedWithItsRemedy() {
    for library in CUDALibrary.allCases {
      let status = library.status
      #expect((status.path == nil) == (status.error != nil))
      if let error = status.error {
        #expect(error.description.contains("cannot open \(library.title)"))
        #expect(error.advice.contains("install"))
      }
    }
  }

  @Test func withoutAGPUOpeningSaysWhy() {
    if CUDADevice.count > 0 { return print("skipped: there is a GPU") }
    let error = #expect(throws: CUDAError.self) { try CUDADevice.open() }
    #expect(error?.advice.isEmpty == false)
    #expect(CUDADevice.unavailable != nil)
  }

  @Test func memoryIsCountedByPart() {
    let memory = DeviceMemory()
    #expect(memory.add(100, .weights) && memory.add(50, .activations))
    memory.subtract(50, .activations)
    #expect(memory.add(20, .gradients))
    #expect(memory.liveBytes == 120 && memory.liveBytes(.weights) == 100 && memory.peakBytes == 150)
    #expect(memory.peakParts[.activations] == 50 && memory.peakParts[.gradients] == 0)
    memory.resetPeak()
    #expect(memory.peakBytes == 120 && memory.peakParts[.gradients] == 20 && memory.peakParts[.activations] == 0)
    memory.cap = 130
    #expect(!memory.add(11, .cache) && memory.add(10, .cache) && memory.liveBytes == 130 && memory.cap == 130)
    memory.cap = nil
    #expect(memory.add(1 << 40, .cache) && memory.cap == nil)
  }

  @Test func definesAreEqualByPlaceAndValue() {
    let (name, other): (StaticString, StaticString) = ("T", "U")
    #expect(KernelDefine(name, "float") == KernelDefine(name, "float"))
    #expect(KernelDefine(name, "float") != KernelDefine(name, "bf16"))
    #expect(KernelDefine(name, 1) != KernelDefine(name, "1") && KernelDefine(name, 1) != KernelDefine(name, 2))
    #expect(KernelDefine(name, 1) != KernelDefine(other, 1))
    #expect(KernelDefine(name, "float").value == "float" && KernelDefine(name, -3).value == "-3")
  }

  @Test func architecturesHaveNVRTCsNames() {
    let names = [(7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (10, 3), (12, 0)].map { CUDADevice.architecture($0) }
    #expect(names == ["sm_75", "sm_80", "sm_89", "sm_90a", "sm_100a", "sm_103a", "sm_120"])
  }

  @Test func pinnedSizesAreClasses() {
    for bytes in [0, 1, 4096, 4097, 5000, 100_000, 1 << 20, (1 << 20) + 1, 3_000_000_000] {
      let size = PinnedMemory.rounded(bytes)
      #expect(size >= bytes && size % 4096 == 0 && size <= max(4096, bytes + bytes / 4 + 4096), "\(bytes) \(size)")
    }
  }
}
