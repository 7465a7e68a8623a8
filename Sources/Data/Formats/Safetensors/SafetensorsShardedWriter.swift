import Glibc
import SwiftletCPU

/// Writes tensors into a folder, cut into shards where they are larger than one: `model-00001-of-0000N.safetensors` and
/// `model.safetensors.index.json`, else one `model.safetensors`.
public final class SafetensorsShardedWriter {
  private let folder: String
  private let stem: String
  private let metadata: [(String, String)]
  private let shards: [[SafetensorsPlan]]
  private let total: Int
  private var writer: SafetensorsWriter?
  private var shard = 0
  private var left = 0

  /// Plans the shards: tensors in their order, a new shard where the next tensor would pass `maxShardBytes` (a larger one stands alone).
  /// - Throws: `SafetensorsError` for sizes that overflow; `FileError` of the disk.
  public convenience init(
    folder: String, stem: String = "model", tensors: [SafetensorsPlan], maxShardBytes: Int = 5_000_000_000,
    metadata: [(String, String)] = [("format", "pt")]
  ) throws {
    let shards = try Self.shards(of: tensors.map { [$0] }, maxShardBytes: maxShardBytes, folder: folder)
    try self.init(folder: folder, stem: stem, shards: shards, metadata: metadata)
  }

  /// Writes shards that are planned already.
  /// - Throws: as above.
  public init(folder: String, stem: String = "model", shards: [[SafetensorsPlan]], metadata: [(String, String)] = [("format", "pt")]) throws
  {
    self.folder = folder
    self.stem = stem
    self.metadata = metadata
    self.shards = shards.isEmpty ? [[]] : shards
    total = try Self.byteCount(shards.flatMap(\.self), folder: folder)
    try startShard()
  }

  /// Cuts groups of tensors that must stay in one file (a matrix's codes and scales) into shards: groups in their order, a new shard where
  /// the next group would pass `maxShardBytes`.
  /// - Throws: `SafetensorsError` for sizes that overflow.
  public static func shards(of groups: [[SafetensorsPlan]], maxShardBytes: Int, folder: String) throws(SafetensorsError)
    -> [[SafetensorsPlan]]
  {
    var shards: [[SafetensorsPlan]] = [[]]
    var size = 0
    for group in groups {
      let bytes = try byteCount(group, folder: folder)
      if size > 0, bytes > 0, size > maxShardBytes || bytes > maxShardBytes - size {
        shards.append([])
        size = 0
      }
      shards[shards.count - 1] += group
      size += bytes
    }
    return shards
  }

  private static func byteCount(_ tensors: [SafetensorsPlan], folder: String) throws(SafetensorsError) -> Int {
    var total = 0
    for tensor in tensors {
      guard let bytes = tensor.dtype.byteCount(of: tensor.shape), !total.addingReportingOverflow(bytes).overflow else {
        throw SafetensorsError(file: folder, tensor: tensor.name, field: "shape", "\(tensor.shape) is too large")
      }
      total += bytes
    }
    return total
  }

  private func name(_ shard: Int) -> String {
    func padded(_ number: Int) -> String { String(repeating: "0", count: max(0, 5 - String(number).count)) + String(number) }
    return shards.count == 1 ? "\(stem).safetensors" : "\(stem)-\(padded(shard + 1))-of-\(padded(shards.count)).safetensors"
  }

  private func startShard() throws {
    writer = try SafetensorsWriter("\(folder)/\(name(shard))", tensors: shards[shard], metadata: metadata)
    left = shards[shard].reduce(0) { $0 + ($1.dtype.byteCount(of: $1.shape) ?? 0) }
  }

  /// Appends bytes of the next tensor; see `SafetensorsWriter.append`.
  public func append(_ bytes: UnsafeRawBufferPointer) throws {
    guard !bytes.isEmpty else { return }
    while left == 0, shard + 1 < shards.count {
      try writer?.finish()
      shard += 1
      try startShard()
    }
    try writer?.append(bytes)
    left -= bytes.count
  }

  /// Finishes the last shard and writes the index; removes an index that an earlier, larger model left.
  public func finish() throws {
    try writer?.finish()
    while shard + 1 < shards.count {
      shard += 1
      try startShard()
      try writer?.finish()
    }
    writer = nil
    let index = "\(folder)/\(stem).safetensors.index.json"
    guard shards.count > 1 else {
      unlink(index)
      return
    }
    var map = JSONObject()
    for (number, tensors) in shards.enumerated() {
      for tensor in tensors { map[tensor.name] = .string(name(number)) }
    }
    let json = JSON.object(
      JSONObject([("metadata", .object(JSONObject([("total_size", .int(total))]))), ("weight_map", .object(map))]))
    try Files.write(json.serialized(indent: 2) + "\n", to: index)
    // A single file of an earlier, smaller model would be preferred over the index by every reader.
    unlink("\(folder)/\(stem).safetensors")
  }
}
