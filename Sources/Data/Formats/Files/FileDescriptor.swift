import Glibc

/// An open file that is closed when the last reference goes. Reads are by place (`pread`), so that many readers share it.
package final class FileDescriptor: Sendable {
  package let path: String
  package let descriptor: Int32

  /// Opens an existing regular file for reading. Follows symbolic links (the Hugging Face cache is made of them).
  package init(reading path: String) throws(DataFileError) {
    guard !path.utf8.contains(0) else { throw DataFileError(path: path, message: "a path with a NUL byte") }
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw DataFileError(path: path, doing: "open the file", errno: errno) }
    self.path = path
    descriptor = opened
    guard try status().st_mode & S_IFMT == S_IFREG else { throw DataFileError(path: path, message: "a regular file is wanted") }
  }

  deinit { close(descriptor) }

  private func status() throws(DataFileError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw DataFileError(path: path, doing: "ask for its size", errno: errno) }
    return status
  }

  /// The file's size now, in bytes.
  package func size() throws(DataFileError) -> Int { Int(try status().st_size) }

  /// Fills `buffer` from `offset` on; returns how many bytes were read, fewer only at the end of the file.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DataFileError) -> Int {
    var done = 0
    while done < buffer.count, let base = buffer.baseAddress {
      let count = pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw DataFileError(path: path, doing: "read", errno: errno) }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// The bytes at `offset`; an error where the file has fewer.
  package func bytes(at offset: Int, count: Int) throws(DataFileError) -> [UInt8] {
    var failure: DataFileError?
    var found = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(DataFileError) { found = try read(at: offset, into: UnsafeMutableRawBufferPointer(buffer)) } catch { failure = error }
      initialized = found
    }
    if let failure { throw failure }
    guard found == count else { throw DataFileError(path: path, message: "the file became shorter while it was in use") }
    return bytes
  }
}

/// Small whole files.
package enum Files {
  /// The whole file, refused where it is larger than `limit` bytes.
  package static func read(_ path: String, limit: Int = 1 << 30) throws(DataFileError) -> [UInt8] {
    let file = try FileDescriptor(reading: path)
    let size = try file.size()
    guard size <= limit else { throw DataFileError(path: path, message: "\(size) bytes; at most \(limit) are read") }
    return try file.bytes(at: 0, count: size)
  }

  /// The whole file as text.
  package static func text(_ path: String, limit: Int = 1 << 30) throws(DataFileError) -> String {
    guard let text = String(validating: try read(path, limit: limit), as: UTF8.self) else {
      throw DataFileError(path: path, message: "text in UTF-8 is wanted")
    }
    return text
  }

  /// Whether something is there, and whether it is a folder.
  package static func kind(_ path: String) -> Kind {
    var status = stat()
    guard !path.utf8.contains(0), stat(path, &status) == 0 else { return .missing }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: return .folder
    case S_IFREG: return .file
    default: return .other
    }
  }

  /// What a path leads to.
  package enum Kind: Hashable, Sendable { case missing, file, folder, other }

  /// Names in a folder, sorted by their bytes, without `.` and `..`.
  package static func names(in folder: String) throws(DataFileError) -> [String] {
    guard let handle = opendir(folder) else { throw DataFileError(path: folder, doing: "list the folder", errno: errno) }
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

  /// Whether `name` is a plain file name: one step that stays inside its folder.
  package static func isPlainName(_ name: String) -> Bool {
    let bytes = name.utf8
    return !bytes.isEmpty && bytes.count <= 255 && name != "." && name != ".."
      && !bytes.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") || $0 < 0x20 }
  }
}
