#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Files and folders by their paths: the one place that asks the system about them. What is written for good goes through `AtomicFile`,
/// `StreamedFile` or, by folders, through a temporary name and `rename`.
package enum Files {
  /// What a path leads to; links are followed.
  package enum Kind: Hashable, Sendable { case missing, file, folder, other }

  /// Whether something is there, and what.
  package static func kind(_ path: String) -> Kind {
    var info = stat()
    guard !path.utf8.contains(0), stat(path, &info) == 0 else { return .missing }
    switch info.st_mode & S_IFMT {
    case S_IFDIR: return .folder
    case S_IFREG: return .file
    default: return .other
    }
  }

  package static func exists(_ path: String) -> Bool { kind(path) != .missing }

  package static func isFolder(_ path: String) -> Bool { kind(path) == .folder }

  /// Bytes of a file.
  package static func size(_ path: String) throws(FileError) -> Int {
    var info = stat()
    guard stat(path, &info) == 0 else { throw FileError("examine", path, code: errno) }
    return Int(info.st_size)
  }

  /// Bytes that an ordinary user may still write to the file system of `path`; nil where it does not say.
  package static func freeBytes(_ path: String) -> Int? {
    var info = statvfs()
    guard statvfs(path, &info) == 0 else { return nil }
    return Int(exactly: UInt64(info.f_bavail).multipliedReportingOverflow(by: UInt64(info.f_frsize)).partialValue)
  }
}

// MARK: Names

extension Files {
  /// The path of a name in a folder.
  package static func join(_ folder: String, _ name: String) -> String { folder.hasSuffix("/") ? folder + name : folder + "/" + name }

  /// The folder that a path stands in.
  package static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Whether `name` is a plain file name: one step that stays inside its folder.
  package static func isPlainName(_ name: String) -> Bool {
    let bytes = name.utf8
    return !bytes.isEmpty && bytes.count <= 255 && name != "." && name != ".."
      && !bytes.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") || $0 < 0x20 }
  }

  /// Names in a folder, sorted by their bytes, without `.` and `..`.
  package static func names(in folder: String) throws(FileError) -> [String] {
    guard let handle = opendir(folder) else { throw FileError("read the folder", folder, code: errno) }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}

// MARK: Reading

extension Files {
  /// The whole file, refused where it has more than `limit` bytes. Pipes are read to their end.
  package static func read(_ path: String, limit: Int = 1 << 30) throws(FileError) -> [UInt8] {
    let file = try FileDescriptor(reading: path, isAnyKind: true)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(min(try file.size(), limit) + 1)
    var failure: FileError?
    try file.forEachPiece { piece in
      bytes.append(contentsOf: piece)
      if bytes.count > limit { failure = FileError("read", path, reason: "over \(limit) bytes, and no more are read") }
      return failure == nil
    }
    if let failure { throw failure }
    return bytes
  }

  /// The whole file as text.
  package static func text(_ path: String, limit: Int = 1 << 30) throws(FileError) -> String {
    guard let text = String(validating: try read(path, limit: limit), as: UTF8.self) else {
      throw FileError("read", path, reason: "text in UTF-8 is wanted")
    }
    return text
  }

  /// The CRC-32C of a file as eight lower-case hexadecimal digits.
  package static func checksum(_ path: String) throws(FileError) -> String {
    var crc: UInt32 = 0
    try FileDescriptor(reading: path).forEachPiece { piece in
      crc = crc32c(piece, seed: crc)
      return true
    }
    return hex(crc)
  }

  /// The same of bytes in memory.
  package static func checksum(of bytes: [UInt8]) -> String { hex(bytes.withUnsafeBytes { crc32c($0) }) }

  private static func hex(_ crc: UInt32) -> String {
    let digits = String(crc, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}

// MARK: Changing

extension Files {
  /// Makes a folder and those above it.
  package static func makeFolder(_ path: String) throws(FileError) {
    if path.isEmpty || isFolder(path) { return }
    if path.contains("/") { try makeFolder(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])) }
    guard mkdir(path, 0o777) == 0 || isFolder(path) else { throw FileError("make the folder", path, code: errno) }
  }

  /// Removes a file, or a folder with all that is in it. What is not there is no error. Links are removed, not followed.
  package static func remove(_ path: String) throws(FileError) {
    var info = stat()
    guard lstat(path, &info) == 0 else { return }
    if info.st_mode & S_IFMT == S_IFDIR {
      for name in try names(in: path) { try remove(path + "/" + name) }
      guard rmdir(path) == 0 else { throw FileError("remove", path, code: errno) }
    } else {
      guard unlink(path) == 0 else { throw FileError("remove", path, code: errno) }
    }
  }

  /// Copies a file; the copy is whole or not there.
  package static func copy(_ from: String, to: String) throws { try AtomicFile.write(to, bytes: read(from)) }

  /// Renames and brings the new name to the disk.
  package static func rename(_ from: String, _ to: String) throws(FileError) {
    #if canImport(Glibc)
      let result = Glibc.rename(from, to)
    #else
      let result = Darwin.rename(from, to)
    #endif
    guard result == 0 else { throw FileError("rename to", to, code: errno) }
    try AtomicFile.flushFolder(parent(of: to))
  }

  /// Brings a file or a folder's names to the disk.
  package static func sync(_ path: String) throws(FileError) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw FileError("open", path, code: errno) }
    defer { close(file) }
    // Some file systems cannot sync a folder and say EINVAL: nothing better can be done there.
    guard fsync(file) == 0 || errno == EINVAL else { throw FileError("write", path, code: errno) }
  }
}
