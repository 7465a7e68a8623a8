import Foundation
import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletModels

extension ModelExport {
  /// What can be known before anything is written, also of a network of shapes only (before a run): whether the family, its config, the
  /// adapter, the tokenizer and the template have a place in the format, whether its types fit the tensors' sizes, whether the target may be
  /// written, and whether the disk has room.
  /// - Returns: bytes that will be written, apart from tokenizer files.
  /// - Throws: an error that names what is in the way and what to do.
  @discardableResult
  public func check(_ format: Format, to path: String) throws -> Int {
    let bytes = try byteCount(format)
    if case .ollama = format { _ = try modelfile() }
    try checkTarget(format, path)
    let folder = Self.nearestFolder(path)
    if let free = Files.freeBytes(folder), free < bytes {
      throw CheckpointError(
        path,
        "\(format.fileName) needs about \(Self.size(bytes)), the disk of \(folder) has \(Self.size(free)) free: free some space or choose another place"
      )
    }
    return bytes
  }

  private func byteCount(_ format: Format) throws -> Int {
    switch format {
    case .adapter, .adapterGGUF:
      guard network.lora != nil else {
        throw CheckpointError(name, "the model has no adapter to export; --format merged or gguf writes the whole model")
      }
      _ = try requireBase()
      if case .adapterGGUF(let precision) = format { return try GGUFAdapterFile.byteCount(network, precision, name: name) }
      return network.adapterFileParameters.reduce(0) { $0 + 4 * $1.shape.count }
    case .merged(let weights): return try ModelFile.byteCount(network, options(weights))
    case .bnb4bit(let weights): return try BitsAndBytesFile.byteCount(network, options(weights))
    case .dynamic4bit(let weights, let budget):
      try FourBitChoice.check(budget: budget)
      return Int(min(Double(try BitsAndBytesFile.byteCount(network, options(weights))) * (1 + budget), 1e18))
    case .gguf(let type), .ollama(let type): return try GGUFModelFile.byteCount(network, type, text: tokenizerMetadata(), name: name)
    }
  }

  private func checkTarget(_ format: Format, _ path: String) throws {
    if format.isFile {
      try AtomicFolder.checkFile(path, mayReplace: GGUFFile.isAt)
    } else {
      try AtomicFolder.check(path, mayReplace: format.mayReplace)
    }
    let folder = Self.nearestFolder(path)
    guard Files.isFolder(folder), FileManager.default.isWritableFile(atPath: folder) else {
      throw CheckpointError(path, "\(folder) is no folder that may be written to: choose another place")
    }
  }

  /// The folder that a path is or will be made in, as far as it is there.
  private static func nearestFolder(_ path: String) -> String {
    var folder = URL(fileURLWithPath: path).standardizedFileURL.deletingLastPathComponent().path
    while folder != "/", !Files.exists(folder) { folder = Files.parent(of: folder) }
    return folder
  }

  /// Bytes for people: `4.2 GB`.
  private static func size(_ bytes: Int) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")]
    guard let (unit, name) = units.first(where: { Double(bytes) >= $0.0 }) else { return "\(bytes) bytes" }
    return "\((Double(bytes) / unit * 10).rounded() / 10) \(name)"
  }
}
