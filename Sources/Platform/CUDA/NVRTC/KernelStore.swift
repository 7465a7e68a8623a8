import SwiftletCPU

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Compiled kernels on the disk, so that a source is compiled once for a kind of GPU and not once a run.
///
/// A file is named by a 128-bit hash of all that goes into the compiler and holds its own checksum: a broken one counts as missing. It is
/// written under a temporary name, flushed and renamed, so processes may share the folder. The folder can be deleted at any time.
package struct KernelStore: Sendable {
  /// Where the files are.
  package let folder: String

  /// A store in `folder`, which is made at the first `save`.
  package init(folder: String) { self.folder = folder }

  /// `$SWIFTLET_CACHE/kernels`, else `$XDG_CACHE_HOME/swiftlet/kernels`, else `~/.cache/swiftlet/kernels`; nil without a home.
  package static let standard: KernelStore? = {
    if let folder = LibrarySearch.environment("SWIFTLET_CACHE") { return KernelStore(folder: folder + "/kernels") }
    if let folder = LibrarySearch.environment("XDG_CACHE_HOME") { return KernelStore(folder: folder + "/swiftlet/kernels") }
    return LibrarySearch.environment("HOME").map { KernelStore(folder: $0 + "/.cache/swiftlet/kernels") }
  }()

  /// The name of what the compiler makes of `source` with `options` (flags, defines, architecture) in a version.
  package static func key(_ source: KernelSource, options: [String], version: (major: Int, minor: Int)) -> String {
    var hash = TextHash()
    hash.add("\(version.major).\(version.minor)")
    hash.add(source.text)
    for header in source.usedHeaders {
      hash.add(header.name)
      hash.add(header.text)
    }
    for option in options { hash.add(option) }
    let name = "\(source.name)".split(separator: ".").first.map(String.init) ?? ""
    return "\(name)-\(hash.text)"
  }

  /// What was saved under `key`; nil where nothing was, or it is not whole.
  package func load(_ key: String) -> [UInt8]? {
    guard let file = try? MappedFile(path: path(key), minimumCount: KernelStore.headerBytes) else { return nil }
    return file.withBytes { bytes in
      let image = UnsafeRawBufferPointer(rebasing: bytes[KernelStore.headerBytes...])
      guard bytes[..<KernelStore.headerBytes].elementsEqual(KernelStore.header(image)) else { return nil }
      return [UInt8](image)
    }
  }

  /// Saves an image. Where the folder cannot be written to, nothing happens: the kernel is compiled again next time.
  package func save(_ key: String, _ image: [UInt8]) {
    makeFolder()
    try? AtomicFile.write(path(key)) { writer in
      try image.withUnsafeBytes { image in
        try KernelStore.header(image).withUnsafeBytes { try writer.write($0) }
        try writer.write(image)
      }
    }
  }

  /// The file of a key.
  package func path(_ key: String) -> String { "\(folder)/\(key).cubin" }

  private static let headerBytes = 24

  // Magic and version, length, checksum of the image, checksum of all this.
  private static func header(_ image: UnsafeRawBufferPointer) -> [UInt8] {
    var header = Array("swkern01".utf8)
    withUnsafeBytes(of: UInt64(image.count).littleEndian) { header += $0 }
    withUnsafeBytes(of: crc32c(image).littleEndian) { header += $0 }
    let checksum = header.withUnsafeBytes { crc32c($0) }
    withUnsafeBytes(of: checksum.littleEndian) { header += $0 }
    return header
  }

  private func makeFolder() {
    if access(folder, W_OK) == 0 { return }
    var path = folder.hasPrefix("/") ? "" : "."
    for part in folder.split(separator: "/") {
      path += "/\(part)"
      mkdir(path, 0o755)
    }
  }
}

/// 128-bit FNV-1a over a sequence of texts, each with its length, so that no two sequences run together.
struct TextHash {
  private var state: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d

  mutating func add(_ text: UnsafeRawBufferPointer) {
    withUnsafeBytes(of: UInt64(text.count).littleEndian) { mix($0) }
    mix(text)
  }

  mutating func add(_ text: String) {
    var text = text
    text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
  }

  private mutating func mix(_ bytes: UnsafeRawBufferPointer) {
    var hash = state
    for byte in bytes { hash = (hash ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b }
    state = hash
  }

  /// 32 hexadecimal digits.
  var text: String {
    let digits = String(state, radix: 16)
    return String(repeating: "0", count: 32 - digits.count) + digits
  }
}
