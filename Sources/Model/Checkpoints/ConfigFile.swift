import SwiftletCPU
import SwiftletFormats

/// JSON files of model folders.
enum ConfigFile {
  /// Largest file that is read, in bytes.
  private static let limit = 64 << 20

  static func object(_ path: String) throws -> JSONObject {
    let bytes = try Files.read(path, limit: limit)
    let json: JSON
    do { json = try JSON(parsing: bytes) } catch { throw CheckpointError(path, "\(error)") }
    guard let object = json.object else { throw CheckpointError(path, "a JSON object is wanted") }
    return object
  }

  static func write(_ json: JSON, to path: String) throws {
    try AtomicFile.write(path, bytes: (json.serialized(indent: 2) + "\n").utf8)
  }
}
