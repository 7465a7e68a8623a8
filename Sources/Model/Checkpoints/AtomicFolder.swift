import Foundation
import SwiftletCPU

/// Writes folders that are either whole or not there.
public enum AtomicFolder {
  /// Runs `body` on a new folder beside `path`, then renames it to `path`. Whatever fails, `path` is as it was and the new folder is gone.
  ///
  /// An existing folder is replaced only where it is empty or `mayReplace` says so of its file names.
  public static func write<Result>(
    _ path: String, mayReplace: ([String]) -> Bool = { _ in false }, _ body: (_ temporary: String) throws -> Result
  ) throws -> Result {
    let target = URL(fileURLWithPath: path).standardizedFileURL.path
    try check(target, mayReplace: mayReplace)
    return try staged(target) { temporary in
      let result = try body(temporary)
      try AtomicFile.flushFolder(temporary)
      try replace(target, with: temporary)
      return result
    }
  }

  /// Runs `body` on the name of a file in a new folder beside `path`, then renames that file to `path`. Whatever fails, `path` is as it was.
  ///
  /// An existing file is replaced only where `mayReplace` says so of it.
  public static func writeFile<Result>(
    _ path: String, mayReplace: (String) -> Bool = { _ in false }, _ body: (_ temporary: String) throws -> Result
  ) throws -> Result {
    let target = URL(fileURLWithPath: path).standardizedFileURL.path
    try checkFile(target, mayReplace: mayReplace)
    return try staged(target) { temporary in
      let file = Files.join(temporary, URL(fileURLWithPath: target).lastPathComponent)
      let result = try body(file)
      try Files.rename(file, target)
      try FileManager.default.removeItem(atPath: temporary)
      return result
    }
  }

  /// - Throws: where `path` is a file, or a folder that holds what `mayReplace` does not know.
  package static func check(_ path: String, mayReplace: ([String]) -> Bool) throws {
    let found = try existing(path)
    guard found.isEmpty || mayReplace(found) else {
      throw CheckpointError(
        path, "exists and holds other files (\(found.sorted().prefix(5).joined(separator: ", "))); choose another folder")
    }
  }

  /// - Throws: where something is at `path` that `mayReplace` does not know.
  package static func checkFile(_ path: String, mayReplace: (String) -> Bool) throws {
    guard Files.exists(path), !mayReplace(path) else { return }
    let isFolder = Files.isFolder(path)
    throw CheckpointError(
      path, isFolder ? "a file is to be written, found a folder: name a file" : "exists and is another kind of file; choose another name")
  }

  /// Runs `body` on a new folder beside `target`, which is gone afterwards unless `body` renamed it.
  private static func staged<Result>(_ target: String, _ body: (_ temporary: String) throws -> Result) throws -> Result {
    let manager = FileManager.default
    let parent = URL(fileURLWithPath: target).deletingLastPathComponent().path
    try manager.createDirectory(atPath: parent, withIntermediateDirectories: true)
    let name = URL(fileURLWithPath: target).lastPathComponent
    let temporary = "\(parent)/.\(name).\(ProcessInfo.processInfo.processIdentifier).tmp"
    try? manager.removeItem(atPath: temporary)
    try manager.createDirectory(atPath: temporary, withIntermediateDirectories: false)
    do {
      let result = try body(temporary)
      try AtomicFile.flushFolder(parent)
      return result
    } catch {
      try? manager.removeItem(atPath: temporary)
      throw error
    }
  }

  /// Removes what killed processes left of unfinished writes in a folder. Nobody else may be writing there.
  package static func removeLeftovers(in folder: String) throws {
    guard Files.isFolder(folder) else { return }
    for name in try Files.names(in: folder) where name.hasPrefix(".") && name.hasSuffix(".tmp") {
      try Files.remove(Files.join(folder, name))
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
