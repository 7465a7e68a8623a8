import Foundation
import SwiftletCPU

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
    guard Files.exists(path) else { return [] }
    guard Files.isFolder(path) else { throw CheckpointError(path, "a folder is wanted, found a file") }
    return try FileManager.default.contentsOfDirectory(atPath: path)
  }

  private static func replace(_ target: String, with temporary: String) throws {
    let manager = FileManager.default
    guard Files.exists(target) else { return try manager.moveItem(atPath: temporary, toPath: target) }
    let old = temporary + ".old"
    try manager.moveItem(atPath: target, toPath: old)
    do { try manager.moveItem(atPath: temporary, toPath: target) } catch {
      try? manager.moveItem(atPath: old, toPath: target)
      throw error
    }
    try manager.removeItem(atPath: old)
  }
}
