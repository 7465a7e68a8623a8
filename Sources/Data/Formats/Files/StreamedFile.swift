import Glibc

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
  /// - Throws: `DataFileError` where the temporary file cannot be made.
  package init(_ path: String) throws(DataFileError) {
    guard !path.isEmpty, !path.utf8.contains(0) else { throw DataFileError(path: path, message: "a file name is wanted") }
    self.path = path
    temporary = "\(path).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).tmp"
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw DataFileError(path: path, doing: "create the file", errno: errno) }
    buffer.reserveCapacity(Self.bufferSize)
  }

  deinit { abandon() }

  /// Appends bytes.
  package func write(_ bytes: UnsafeRawBufferPointer) throws(DataFileError) {
    count += bytes.count
    if bytes.count + buffer.count <= Self.bufferSize {
      buffer.append(contentsOf: bytes)
    } else {
      try flush()
      try put(bytes)
    }
  }

  /// Appends text in UTF-8.
  package func write(_ text: String) throws(DataFileError) {
    let bytes = Array(text.utf8)
    var failure: DataFileError?
    bytes.withUnsafeBytes { do throws(DataFileError) { try write($0) } catch { failure = error } }
    if let failure { throw failure }
  }

  /// Flushes to the disk and renames into place.
  package func commit() throws(DataFileError) {
    try flush()
    guard fsync(descriptor) == 0 else { throw DataFileError(path: path, doing: "flush to the disk", errno: errno) }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0, rename(temporary, path) == 0 else {
      let code = errno
      unlink(temporary)
      throw DataFileError(path: path, doing: "rename into place", errno: code)
    }
    try Files.flushFolder(of: path)
  }

  /// Removes what was written; does nothing after `commit()`.
  package func abandon() {
    guard descriptor >= 0 else { return }
    close(descriptor)
    descriptor = -1
    unlink(temporary)
  }

  private func flush() throws(DataFileError) {
    var failure: DataFileError?
    buffer.withUnsafeBytes { do throws(DataFileError) { try put($0) } catch { failure = error } }
    if let failure { throw failure }
    buffer.removeAll(keepingCapacity: true)
  }

  private func put(_ bytes: UnsafeRawBufferPointer) throws(DataFileError) {
    guard descriptor >= 0 else { throw DataFileError(path: path, message: "written to after it was closed") }
    var done = 0
    while done < bytes.count, let base = bytes.baseAddress {
      let written = Glibc.write(descriptor, base + done, bytes.count - done)
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { throw DataFileError(path: path, doing: "write", errno: errno) }
      done += written
    }
  }
}

extension Files {
  /// Writes a whole small file atomically.
  package static func write(_ text: String, to path: String) throws(DataFileError) {
    let file = try StreamedFile(path)
    try file.write(text)
    try file.commit()
  }

  /// Makes the names in the folder of `path` safe against a power cut.
  package static func flushFolder(of path: String) throws(DataFileError) {
    let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard handle >= 0 else { throw DataFileError(path: folder, doing: "open the folder", errno: errno) }
    defer { close(handle) }
    guard fsync(handle) == 0 else { throw DataFileError(path: folder, doing: "flush the folder", errno: errno) }
  }
}
