import SwiftletCPU

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension FileError {
  /// Whether the disk or a quota is full.
  package var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }

  static func last(_ operation: String, _ path: String) -> FileError { FileError(operation, path, code: errno) }
}

/// File operations that survive a crash at any moment: what has a final name is complete and on the disk.
package enum RunFiles {
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  package static func isFolder(_ path: String) -> Bool {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
  }

  package static func size(_ path: String) throws(FileError) -> Int {
    var info = stat()
    guard stat(path, &info) == 0 else { throw .last("examine", path) }
    return Int(info.st_size)
  }

  /// Makes a folder and those above it.
  package static func makeFolder(_ path: String) throws(FileError) {
    if isFolder(path) || path.isEmpty { return }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try makeFolder(String(path[..<slash])) }
    guard mkdir(path, 0o777) == 0 || isFolder(path) else { throw .last("make the folder", path) }
  }

  /// Names in a folder, sorted by their bytes; without `.` and `..`.
  package static func list(_ path: String) throws(FileError) -> [String] {
    guard let folder = opendir(path) else { throw .last("read the folder", path) }
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
      guard rmdir(path) == 0 else { throw .last("remove", path) }
    } else {
      guard unlink(path) == 0 else { throw .last("remove", path) }
    }
  }

  package static func read(_ path: String) throws(FileError) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .last("open", path) }
    defer { close(file) }
    var info = stat()
    guard fstat(file, &info) == 0 else { throw .last("examine", path) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(info.st_size) + 1)
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = chunk.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .last("read", path) }
      if count == 0 { return bytes }
      bytes.append(contentsOf: chunk[..<count])
    }
  }

  /// The CRC-32C of a file as eight lower-case hexadecimal digits.
  package static func checksum(_ path: String) throws(FileError) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .last("open", path) }
    defer { close(file) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var crc: UInt32 = 0
    while true {
      let count = Glibc.read(file, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .last("read", path) }
      if count == 0 { return hex(crc) }
      crc = crc32c(UnsafeRawBufferPointer(rebasing: buffer[..<count]), seed: crc)
    }
  }

  package static func checksum(of bytes: [UInt8]) -> String { hex(bytes.withUnsafeBytes { crc32c($0) }) }

  private static func hex(_ crc: UInt32) -> String {
    let digits = String(crc, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  /// Renames and brings the new name to the disk.
  package static func rename(_ from: String, _ to: String) throws(FileError) {
    guard Glibc.rename(from, to) == 0 else { throw .last("rename to", to) }
    try AtomicFile.flushFolder(parent(of: to))
  }

  /// Brings a file or a folder's names to the disk.
  package static func sync(_ path: String) throws(FileError) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .last("open", path) }
    defer { close(file) }
    // Some file systems cannot sync a folder and say EINVAL: nothing better can be done there.
    guard fsync(file) == 0 || errno == EINVAL else { throw .last("write", path) }
  }

  package static func copy(_ from: String, to: String) throws { try AtomicFile.write(to, bytes: read(from)) }

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
