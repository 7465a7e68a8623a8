#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif
import Synchronization

/// Writes files that are either whole or not there.
public enum AtomicFile {
  private static let serial = Atomic<Int>(0)

  /// Writes `path` through `body`: into a temporary name in the same folder, flushed to the disk, then renamed over `path`, then the
  /// folder flushed. Whatever fails, `path` is as it was and the temporary file is gone.
  public static func write(_ path: String, _ body: (borrowing Writer) throws -> Void) throws {
    let (folder, name) = split(path)
    let number = serial.add(1, ordering: .relaxed).newValue
    let temporary = "\(folder)/.\(name).\(getpid())-\(number).tmp"
    do {
      let writer = try Writer(temporary: temporary, path: path)
      try body(writer)
      try writer.flush()
      if rename(temporary, path) != 0 { throw FileError("rename to", path, code: errno) }
    } catch {
      unlink(temporary)
      throw error
    }
    try flushFolder(folder)
  }

  /// Writes `bytes` as the whole of `path`.
  public static func write(_ path: String, bytes: some Sequence<UInt8>) throws {
    try write(path) { writer in
      if try bytes.withContiguousStorageIfAvailable({ try writer.write(UnsafeRawBufferPointer($0)) }) == nil {
        try Array(bytes).withUnsafeBytes { try writer.write($0) }
      }
    }
  }

  /// Flushes a folder's entries to the disk, so that renames in it survive a power cut.
  public static func flushFolder(_ folder: String) throws(FileError) {
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { throw FileError("open folder", folder, code: errno) }
    defer { close(descriptor) }
    // Some file systems cannot flush folders; they say EINVAL.
    if fsync(descriptor) != 0 && errno != EINVAL { throw FileError("flush folder", folder, code: errno) }
  }

  private static func split(_ path: String) -> (folder: String, name: Substring) {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return (".", path[...]) }
    let folder = path[..<slash]
    return (folder.isEmpty ? "/" : String(folder), path[path.index(after: slash)...])
  }

  /// The file being written; flushed and closed when `write` ends.
  public struct Writer: ~Copyable {
    private let descriptor: Int32
    private let path: String

    fileprivate init(temporary: String, path: String) throws(FileError) {
      descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
      self.path = path
      if descriptor < 0 { throw FileError("create", path, code: errno) }
    }

    /// Appends bytes.
    public borrowing func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
      var rest = bytes[...]
      while !rest.isEmpty {
        // The system writes at most 2 GiB a call.
        let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
        #if canImport(Glibc)
          let written = Glibc.write(descriptor, piece.baseAddress, piece.count)
        #else
          let written = Darwin.write(descriptor, piece.baseAddress, piece.count)
        #endif
        if written < 0 && errno == EINTR { continue }
        if written < 0 { throw FileError("write", path, code: errno) }
        rest = rest.dropFirst(written)
      }
    }

    /// Overwrites bytes at an offset that was already written, for example a header.
    public borrowing func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
      var done = 0
      while done < bytes.count {
        let piece = UnsafeRawBufferPointer(rebasing: bytes[done...].prefix(1 << 30))
        let written = pwrite(descriptor, piece.baseAddress, piece.count, off_t(offset + done))
        if written < 0 && errno == EINTR { continue }
        if written < 0 { throw FileError("write", path, code: errno) }
        done += written
      }
    }

    /// Flushes what was written to the disk.
    fileprivate borrowing func flush() throws(FileError) {
      if fsync(descriptor) != 0 { throw FileError("flush", path, code: errno) }
    }

    deinit { close(descriptor) }
  }
}
