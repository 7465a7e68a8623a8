#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A file operation that the system refused.
public struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was tried, as in "cannot write".
  public let operation: String
  /// On which file.
  public let path: String
  /// The system's error number.
  public let code: Int32
  /// `cannot write runs/x/recipe.yaml: No space left on device`.
  public var description: String { "\(operation) \(path): \(String(cString: strerror(code)))" }
  /// Whether the disk or a quota is full.
  public var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }

  static func last(_ operation: String, _ path: String) -> FileError { FileError(operation: operation, path: path, code: errno) }
}

/// File operations that survive a crash at any moment: what has a final name is complete and on the disk.
package enum Files {
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  package static func isFolder(_ path: String) -> Bool {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
  }

  package static func size(_ path: String) throws(FileError) -> Int {
    var info = stat()
    guard stat(path, &info) == 0 else { throw .last("cannot examine", path) }
    return Int(info.st_size)
  }

  /// Makes a folder and those above it.
  package static func makeFolder(_ path: String) throws(FileError) {
    if isFolder(path) || path.isEmpty { return }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try makeFolder(String(path[..<slash])) }
    guard mkdir(path, 0o777) == 0 || isFolder(path) else { throw .last("cannot make the folder", path) }
  }

  /// Names in a folder, sorted by their bytes; without `.` and `..`.
  package static func list(_ path: String) throws(FileError) -> [String] {
    guard let folder = opendir(path) else { throw .last("cannot read the folder", path) }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Removes a file, or a folder with all that is in it. What is not there is no error. Links are removed, not followed.
  package static func remove(_ path: String) throws(FileError) {
    var info = stat()
    guard lstat(path, &info) == 0 else { return }
    if info.st_mode & S_IFMT == S_IFDIR {
      for name in try list(path) { try remove(path + "/" + name) }
      guard rmdir(path) == 0 else { throw .last("cannot remove", path) }
    } else {
      guard unlink(path) == 0 else { throw .last("cannot remove", path) }
    }
  }

  package static func read(_ path: String) throws(FileError) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .last("cannot open", path) }
    defer { close(file) }
    var info = stat()
    guard fstat(file, &info) == 0 else { throw .last("cannot examine", path) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(info.st_size) + 1)
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = chunk.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .last("cannot read", path) }
      if count == 0 { return bytes }
      bytes.append(contentsOf: chunk[..<count])
    }
  }

  /// Calls `body` with the pieces of a file, in order.
  package static func stream(_ path: String, _ body: (UnsafeRawBufferPointer) -> Void) throws(FileError) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .last("cannot open", path) }
    defer { close(file) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = Glibc.read(file, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .last("cannot read", path) }
      if count == 0 { return }
      body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
  }

  /// Writes all bytes to an open file.
  package static func writeAll(_ file: Int32, _ bytes: [UInt8], path: String) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress.map { $0 + done }, $0.count - done) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .last("cannot write", path) }
      done += count
    }
  }

  /// Writes a file in place and brings it to the disk. For files inside a folder that gets its final name later.
  package static func write(_ path: String, _ bytes: [UInt8]) throws(FileError) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard file >= 0 else { throw .last("cannot create", path) }
    var failure: FileError?
    do throws(FileError) {
      try writeAll(file, bytes, path: path)
      if fsync(file) != 0 { failure = .last("cannot write", path) }
    } catch { failure = error }
    if close(file) != 0, failure == nil { failure = .last("cannot write", path) }
    if let failure { throw failure }
  }

  /// Replaces a file in one step: other readers, and a crash, see the old bytes or the new ones.
  package static func replace(_ path: String, _ bytes: [UInt8]) throws(FileError) {
    let temporary = path + ".tmp"
    do throws(FileError) {
      try write(temporary, bytes)
      try rename(temporary, path)
    } catch {
      unlink(temporary)
      throw error
    }
  }

  /// Renames and brings the new name to the disk.
  package static func rename(_ from: String, _ to: String) throws(FileError) {
    guard Glibc.rename(from, to) == 0 else { throw .last("cannot rename to", to) }
    try sync(parent(of: to))
  }

  /// Brings a file or a folder's names to the disk.
  package static func sync(_ path: String) throws(FileError) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .last("cannot open", path) }
    defer { close(file) }
    // Some file systems cannot sync a folder and say EINVAL: nothing better can be done there.
    guard fsync(file) == 0 || errno == EINVAL else { throw .last("cannot write", path) }
  }

  package static func copy(_ from: String, to: String) throws(FileError) { try write(to, read(from)) }

  /// Bytes that an ordinary user may still write to the file system of `path`; nil where it does not say.
  package static func freeBytes(_ path: String) -> Int? {
    var info = statvfs()
    guard statvfs(path, &info) == 0 else { return nil }
    return Int(exactly: UInt64(info.f_bavail).multipliedReportingOverflow(by: UInt64(info.f_frsize)).partialValue)
  }

  package static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
