import Foundation
import SwiftletCPU
import SwiftletCUDA
import Testing

/// Text that stays, as embedded sources do.
func kernelText(_ text: String) -> UnsafeRawBufferPointer {
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
  copy.copyBytes(from: text.utf8)
  return UnsafeRawBufferPointer(copy)
}

/// A folder that goes when `body` returns.
private func inFolder(_ body: (String) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "swiftlet-\(UUID().uuidString)").path
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try body(folder)
}

@Suite struct KernelStoreTests {
  private let source = KernelSource(
    name: "Twice.cu",
    text: kernelText(
      """
      #include "factor.cuh"
      extern "C" __global__ void twice(TYPE *y, const TYPE *x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = FACTOR * x[i];
      }
      """), headers: [("factor.cuh", kernelText("#define FACTOR 2\n"))])

  @Test func whatIsSavedIsLoaded() throws {
    try inFolder { folder in
      let store = KernelStore(folder: folder + "/a/b")
      #expect(store.load("k") == nil)
      for image in [[], [7], (0..<10_000).map { UInt8(truncatingIfNeeded: $0 * 31) }] as [[UInt8]] {
        store.save("k", image)
        #expect(store.load("k") == image)
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: store.folder)
      #expect(names == ["k.cubin"])
    }
  }

  @Test func whatIsNotWholeCountsAsMissing() throws {
    try inFolder { folder in
      let store = KernelStore(folder: folder)
      let image = (0..<40).map { UInt8(truncatingIfNeeded: $0 * 7) }
      store.save("k", image)
      let whole = try Data(contentsOf: URL(filePath: store.path("k")))
      func put(_ bytes: Data) throws { try bytes.write(to: URL(filePath: store.path("k"))) }
      for count in 0..<whole.count {
        try put(whole.prefix(count))
        #expect(store.load("k") == nil, "cut to \(count) bytes")
        var flipped = whole
        flipped[count] ^= 1 << (count % 8)
        try put(flipped)
        #expect(store.load("k") == nil, "byte \(count) changed")
      }
      try put(whole + [0])
      #expect(store.load("k") == nil, "a byte too many")
      store.save("k", image)
      #expect(store.load("k") == image)
    }
  }

  @Test func everyIngredientIsInTheKey() {
    func key(
      _ text: String = "\"h\" \"i\"", _ headers: [(String, String)] = [("h", "b")], _ options: [String] = ["-DT=float"], _ minor: Int = 0
    ) -> String {
      let source = KernelSource(name: "X.cu", text: kernelText(text), headers: headers.map { ($0.0, kernelText($0.1)) })
      return KernelStore.key(source, options: options, version: (13, minor))
    }
    #expect(key() == key())
    let text = "\"h\" \"i\""
    let others = [
      key(text + "a"), key(text, [("h", "c")]), key(text, [("i", "b")]), key(text, []), key(text, [("h", "b"), ("i", "")]),
      key(text, [("h", "\"hb\""), ("hb", "")]), key(text, [("h", "b")], ["-DT=bf16"]), key(text, [("h", "b")], ["-DT=", "float"]),
      key(text, [("h", "b")], []), key(text, [("h", "b")], ["-DT=float"], 1),
    ]
    #expect(Set(others + [key()]).count == others.count + 1)
    #expect(key().hasPrefix("X-") && key().count == 34)
    // What is not included has no part in it.
    #expect(key() == key(text, [("h", "b"), ("other", "c")]))
  }

  @Test func manyWritersLeaveOneWholeFile() throws {
    try inFolder { folder in
      let images = (0..<8).map { [UInt8](repeating: UInt8($0), count: 50_000 + $0) }
      KernelStore(folder: folder).save("k", images[0])
      parallelFor(64) { range in
        for i in range {
          let store = KernelStore(folder: folder)
          if i % 2 == 0 { store.save("k", images[i / 2 % 8]) }
          let found = store.load("k")
          #expect(found.map(images.contains) == true)
        }
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(names == ["k.cubin"])
    }
  }

  @Test func aFolderThatCannotBeWrittenToIsNoError() {
    let store = KernelStore(folder: "/proc/nowhere/kernels")
    store.save("k", [1])
    #expect(store.load("k") == nil)
  }

  @Test func compilesOnceAndAgainAfterDamage() throws {
    if let error = CUDALibrary.nvrtc.status.error { return print("skipped: \(error)") }
    try inFolder { folder in
      let store = KernelStore(folder: folder)
      func compile(_ type: String) throws -> (bytes: [UInt8], isNew: Bool) {
        try KernelCompiler.image(source, defines: ["-DTYPE=\(type)"], architecture: "sm_80", store: store)
      }
      let first = try compile("float")
      #expect(first.isNew && first.bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]))
      let second = try compile("float")
      #expect(!second.isNew && second.bytes == first.bytes)
      let other = try compile("int")
      #expect(other.isNew)
      for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
        let url = URL(filePath: folder + "/" + file)
        try Data(contentsOf: url).dropLast(100).write(to: url)
      }
      let third = try compile("float")
      #expect(third.isNew && third.bytes == first.bytes)
      let fourth = try compile("float")
      #expect(!fourth.isNew)
    }
  }

  @Test func compilerErrorsNameTheSourceAndTheLine() throws {
    if let error = CUDALibrary.nvrtc.status.error { return print("skipped: \(error)") }
    let broken = KernelSource(name: "Broken.cu", text: kernelText("extern \"C\" __global__ void f() {\n  nonsense();\n}\n"), headers: [])
    let error = #expect(throws: CUDAError.self) { try KernelCompiler.compile(broken, defines: [], architecture: "sm_90a") }
    #expect(error?.description.contains("Broken.cu(2): error") == true, "\(error?.description ?? "")")
    let usage = try KernelCompiler.compile(source, defines: ["-DTYPE=float"], architecture: "sm_90a").usage
    #expect(usage.map(\.function) == ["twice"] && usage[0].registers > 4 && usage[0].spillBytes == 0)
  }

  @Test func readsTheAssemblersReport() {
    let log = """
      ptxas info    : 0 bytes gmem
      ptxas info    : Compiling entry function 'one' for 'sm_90a'
      ptxas info    : Function properties for one
          8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
      ptxas info    : Used 58 registers, used 1 barriers, 8 bytes cumulative stack size, 1024 bytes smem, 400 bytes cmem[0]
      ptxas info    : Compiling entry function 'two' for 'sm_90a'
      ptxas info    : Function properties for two
          0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
      ptxas info    : Used 8 registers
      """
    let usage = KernelUsage.read(log)
    #expect(usage.map(\.function) == ["one", "two"])
    #expect(usage.map(\.registers) == [58, 8] && usage.map(\.spillBytes) == [12, 0] && usage.map(\.sharedBytes) == [1024, 0])
  }
}
