#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file that appears under its name only when it is whole: written under a temporary name beside it, flushed to the disk, renamed,
/// and the folder flushed. Dropped without `commit()`, it leaves nothing behind.
package final class StreamedFile {
  /// The final name.
  package let path: String
  /// Bytes written so far.
  package private(set) var count = 0
  private let temporary: String
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  private static let bufferSize = 1 << 16

  /// Starts writing.
  /// - Throws: `FileError` where the temporary file cannot be made.
  package init(_ path: String) throws(FileError) {
    guard !path.isEmpty, !path.utf8.contains(0) else { throw FileError("create", path, reason: "a file name is wanted") }
    self.path = path
    temporary = "\(path).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).tmp"
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError("create", path, code: errno) }
    buffer.reserveCapacity(Self.bufferSize)
  }

  deinit { abandon() }

  /// Appends bytes.
  package func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    count += bytes.count
    if bytes.count + buffer.count <= Self.bufferSize {
      buffer.append(contentsOf: bytes)
    } else {
      try flush()
      try put(bytes)
    }
  }

  /// Appends text in UTF-8.
  package func write(_ text: String) throws(FileError) {
    let bytes = Array(text.utf8)
    var failure: FileError?
    bytes.withUnsafeBytes { do throws(FileError) { try write($0) } catch { failure = error } }
    if let failure { throw failure }
  }

  /// Flushes to the disk and renames into place.
  package func commit() throws(FileError) {
    try flush()
    guard fsync(descriptor) == 0 else { throw FileError("flush", path, code: errno) }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0, rename(temporary, path) == 0 else {
      let code = errno
      unlink(temporary)
      throw FileError("rename to", path, code: code)
    }
    try AtomicFile.flushFolder(Files.parent(of: path))
  }

  /// Removes what was written; does nothing after `commit()`.
  package func abandon() {
    guard descriptor >= 0 else { return }
    close(descriptor)
    descriptor = -1
    unlink(temporary)
  }

  private func flush() throws(FileError) {
    var failure: FileError?
    buffer.withUnsafeBytes { do throws(FileError) { try put($0) } catch { failure = error } }
    if let failure { throw failure }
    buffer.removeAll(keepingCapacity: true)
  }

  private func put(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    guard descriptor >= 0 else { throw FileError("write", path, reason: "it is closed already") }
    var done = 0
    while done < bytes.count, let base = bytes.baseAddress {
      #if canImport(Glibc)
        let written = Glibc.write(descriptor, base + done, bytes.count - done)
      #else
        let written = Darwin.write(descriptor, base + done, bytes.count - done)
      #endif
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { throw FileError("write", path, code: errno) }
      done += written
    }
  }
}

extension Files {
  /// Writes a whole small file; it is whole or not there.
  package static func write(_ text: String, to path: String) throws(FileError) {
    let file = try StreamedFile(path)
    try file.write(text)
    try file.commit()
  }
}
