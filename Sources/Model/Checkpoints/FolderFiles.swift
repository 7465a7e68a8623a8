import Foundation
import SwiftletCPU
import SwiftletFormats

/// Small files of model folders.
enum FolderFiles {
  /// Largest JSON file that is read whole, in bytes.
  static let limit = 64 << 20

  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  static func join(_ folder: String, _ name: String) -> String { folder.hasSuffix("/") ? folder + name : folder + "/" + name }

  static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  static func makeFolder(_ path: String) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  static func bytes(_ path: String) throws -> [UInt8] {
    guard let handle = FileHandle(forReadingAtPath: path) else { throw CheckpointError(path, "cannot be opened for reading") }
    defer { try? handle.close() }
    guard let data = try handle.read(upToCount: limit + 1) else { return [] }
    guard data.count <= limit else { throw CheckpointError(path, "larger than \(limit) bytes, too large for a configuration file") }
    return Array(data)
  }

  static func json(_ path: String) throws -> JSON {
    let bytes = try bytes(path)
    do { return try JSON(parsing: bytes) } catch { throw CheckpointError(path, "\(error)") }
  }

  static func object(_ path: String) throws -> JSONObject {
    guard let object = try json(path).object else { throw CheckpointError(path, "a JSON object is wanted") }
    return object
  }

  static func write(_ json: JSON, to path: String) throws {
    try AtomicFile.write(path, bytes: (json.serialized(indent: 2) + "\n").utf8)
  }
}

/// Writes folders that are either whole or not there.
public enum AtomicFolder {
  /// Runs `body` on a new folder beside `path`, then renames it to `path`. Whatever fails, `path` is as it was and the new folder is gone.
  ///
  /// An existing folder is replaced only where it is empty or `mayReplace` says so of its file names.
  public static func write(_ path: String, mayReplace: ([String]) -> Bool = { _ in false }, _ body: (_ temporary: String) throws -> Void)
    throws
  {
    let manager = FileManager.default
    let target = URL(fileURLWithPath: path).standardizedFileURL.path
    let found = try existing(target)
    guard found.isEmpty || mayReplace(found) else {
      throw CheckpointError(
        path, "exists and holds other files (\(found.sorted().prefix(5).joined(separator: ", "))); choose another folder")
    }
    let parent = URL(fileURLWithPath: target).deletingLastPathComponent().path
    try manager.createDirectory(atPath: parent, withIntermediateDirectories: true)
    let name = URL(fileURLWithPath: target).lastPathComponent
    let temporary = "\(parent)/.\(name).\(ProcessInfo.processInfo.processIdentifier).tmp"
    try? manager.removeItem(atPath: temporary)
    try manager.createDirectory(atPath: temporary, withIntermediateDirectories: false)
    do {
      try body(temporary)
      try AtomicFile.flushFolder(temporary)
      try replace(target, with: temporary)
      try AtomicFile.flushFolder(parent)
    } catch {
      try? manager.removeItem(atPath: temporary)
      throw error
    }
  }

  private static func existing(_ path: String) throws -> [String] {
    guard FolderFiles.exists(path) else { return [] }
    guard FolderFiles.isFolder(path) else { throw CheckpointError(path, "a folder is wanted, found a file") }
    return try FileManager.default.contentsOfDirectory(atPath: path)
  }

  private static func replace(_ target: String, with temporary: String) throws {
    let manager = FileManager.default
    guard FolderFiles.exists(target) else { return try manager.moveItem(atPath: temporary, toPath: target) }
    let old = temporary + ".old"
    try manager.moveItem(atPath: target, toPath: old)
    do { try manager.moveItem(atPath: temporary, toPath: target) } catch {
      try? manager.moveItem(atPath: old, toPath: target)
      throw error
    }
    try manager.removeItem(atPath: old)
  }
}
