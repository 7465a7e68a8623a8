import SwiftletCPU
import SwiftletFormats

/// Why a checkpoint cannot be trusted.
public struct CheckpointDamage: Error, Hashable, Sendable, CustomStringConvertible {
  /// The checkpoint's folder.
  public let path: String
  /// What was wanted and what was found.
  public let reason: String
  /// `runs/x/checkpoint-20: optimizer.safetensors has 812 bytes, its manifest says 4096`.
  public var description: String { "\(path): \(reason)" }
}

/// Size and checksum of every file of a checkpoint, itself guarded by a checksum. Written last: a folder without it is not a checkpoint.
package enum Manifest {
  package static let name = "manifest.json"

  /// Brings every file of `folder` to the disk and writes the manifest.
  package static func write(in folder: String) throws {
    var files: [JSON] = []
    for name in try Files.names(in: folder) where name != Manifest.name {
      let path = folder + "/" + name
      try Files.sync(path)
      files.append(
        .object(
          JSONObject([("name", .string(name)), ("bytes", .int(try Files.size(path))), ("crc32c", .string(try Files.checksum(path)))]))
      )
    }
    try AtomicFile.write(folder + "/" + Manifest.name, bytes: text(files).utf8)
    try Files.sync(folder)
  }

  /// The manifest's bytes; `crc32c` covers the rest of them.
  private static func text(_ files: [JSON]) -> String {
    func body(_ crc: String) -> String {
      JSON.object(JSONObject([("version", .int(1)), ("crc32c", .string(crc)), ("files", .array(files))])).serialized(indent: 1) + "\n"
    }
    return body(Files.checksum(of: Array(body("").utf8)))
  }

  /// Checks every file of a checkpoint against its manifest. Reads all of it.
  /// - Throws: `CheckpointDamage`.
  package static func verify(_ folder: String) throws(CheckpointDamage) {
    do {
      try check(folder)
    } catch let damage as CheckpointDamage {
      throw damage
    } catch {
      throw CheckpointDamage(path: folder, reason: "\(error)")
    }
  }

  private static func check(_ folder: String) throws {
    func damage(_ reason: String) -> CheckpointDamage { CheckpointDamage(path: folder, reason: reason) }
    let bytes = try Files.read(folder + "/" + name)
    let files = try JSON(parsing: bytes)["files"]?.array ?? []
    guard Manifest.text(files).utf8.elementsEqual(bytes) else { throw damage("\(name) has changed since it was written") }
    for file in files {
      guard let name = file["name"]?.string, let size = file["bytes"]?.int, let crc = file["crc32c"]?.string else {
        throw damage("\(Manifest.name) lacks a name, a size or a checksum")
      }
      let path = folder + "/" + name
      guard Files.exists(path) else { throw damage("\(name) is missing") }
      let found = try Files.size(path)
      guard found == size else { throw damage("\(name) has \(found) bytes, its manifest says \(size)") }
      guard try Files.checksum(path) == crc else { throw damage("the contents of \(name) do not match their checksum") }
    }
  }
}
