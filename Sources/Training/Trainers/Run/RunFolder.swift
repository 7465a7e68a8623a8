import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Why a run folder cannot be used.
public struct RunFolderError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was wanted, what was found, what to do.
  public let description: String
}

/// A run's folder: held by one process at a time, with checkpoints that are complete or not there.
public final class RunFolder {
  /// The folder's path.
  public let path: String
  private let lock: Int32

  /// Makes or opens the folder and locks it until the object dies. Removes what interrupted saves left behind.
  /// - Throws: `RunFolderError` where another process holds it, `FileError` where it cannot be made.
  public init(_ path: String) throws {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    try Files.makeFolder(self.path)
    lock = open(self.path + "/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard lock >= 0 else { throw FileError("open", self.path + "/.lock", code: errno) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      throw RunFolderError(description: "another process is training in \(path): wait for it, stop it, or choose another output")
    }
    for name in try Files.names(in: self.path) where name.hasSuffix(".tmp") { try Files.remove(self.path + "/" + name) }
    try AtomicFolder.removeLeftovers(in: self.path + "/" + RunExports.folderName)
  }

  deinit { if lock >= 0 { close(lock) } }

  /// The path of a file in the folder.
  package func file(_ name: String) -> String { path + "/" + name }

  /// Whether a run was started here.
  package var holdsRun: Bool { Files.exists(file("recipe.yaml")) || !checkpointSteps.isEmpty || Files.exists(file("final")) }

  /// Steps of the checkpoints, ascending, good or not.
  package var checkpointSteps: [Int] { RunFolder.checkpointSteps(path) }

  package static func checkpointSteps(_ path: String) -> [Int] {
    ((try? Files.names(in: path)) ?? []).compactMap { name in
      guard name.hasPrefix("checkpoint-"), let step = Int(name.dropFirst("checkpoint-".count)), step >= 0, name == "checkpoint-\(step)"
      else {
        return nil
      }
      return step
    }.sorted()
  }

  package func checkpoint(_ step: Int) -> String { file("checkpoint-\(step)") }

  /// Writes a checkpoint: `body` fills a temporary folder, which gets its name when all of it is on the disk and has been read back.
  ///
  /// A good checkpoint of the same step stays as it is: the same step has the same bits.
  /// - Returns: its path.
  package func save(step: Int, _ body: (String) throws -> Void) throws -> String {
    let target = checkpoint(step)
    if Files.exists(target) {
      if (try? Manifest.verify(target)) != nil { return target }
      try setAside(step)
    }
    try publish("checkpoint-\(step)") { folder in
      try body(folder)
      try Manifest.write(in: folder)
      try Manifest.verify(folder)
    }
    return target
  }

  /// Fills a temporary folder and gives it its name in one step, in place of an older one.
  package func publish(_ name: String, _ body: (String) throws -> Void) throws {
    let temporary = file(name + ".tmp")
    do {
      try Files.remove(temporary)
      try Files.makeFolder(temporary)
      try body(temporary)
      for name in try Files.names(in: temporary) { try Files.sync(temporary + "/" + name) }
      try Files.sync(temporary)
      if Files.exists(file(name)) {
        try Files.rename(file(name), file(name + ".old.tmp"))
        try Files.rename(temporary, file(name))
        try Files.remove(file(name + ".old.tmp"))
      } else {
        try Files.rename(temporary, file(name))
      }
    } catch {
      try? Files.remove(temporary)
      throw error
    }
  }

  /// The newest checkpoint that passes its checks. Damaged ones are named in a warning and set aside under another name.
  package func newestGood(warn: (String) -> Void) throws -> Int? {
    for step in checkpointSteps.reversed() {
      do throws(CheckpointDamage) {
        try Manifest.verify(checkpoint(step))
        return step
      } catch {
        warn("\(error); falling back to the checkpoint before it")
        try setAside(step)
      }
    }
    return nil
  }

  private func setAside(_ step: Int) throws {
    let name = file("damaged-checkpoint-\(step)")
    try Files.remove(name)
    try Files.rename(checkpoint(step), name)
  }

  /// Deletes all but the newest `keep` checkpoints. Called after a new one was verified; that one always stays.
  package func rotate(keep: Int) throws {
    for step in checkpointSteps.dropLast(max(1, keep)) {
      let doomed = file("checkpoint-\(step).tmp")
      try Files.rename(checkpoint(step), doomed)
      try Files.remove(doomed)
    }
  }
}
