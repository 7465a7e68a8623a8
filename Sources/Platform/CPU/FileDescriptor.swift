#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An open file that is closed when the last reference goes. Reads are by place (`pread`), so that many readers share it.
package final class FileDescriptor: Sendable {
  /// The path as it was given.
  package let path: String
  private let descriptor: Int32

  /// Opens an existing regular file for reading. Follows symbolic links (the Hugging Face cache is made of them).
  /// - Parameter isAnyKind: allows pipes and devices too, which `forEachPiece` reads.
  package init(reading path: String, isAnyKind: Bool = false) throws(FileError) {
    guard !path.utf8.contains(0) else { throw FileError("open", path, reason: "a path with a NUL byte") }
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw FileError("open", path, code: errno) }
    self.path = path
    descriptor = opened
    let kind = try status().st_mode & S_IFMT
    guard kind == S_IFREG || isAnyKind && kind != S_IFDIR else {
      throw FileError("open", path, reason: kind == S_IFDIR ? "a file is wanted, it is a folder" : "a regular file is wanted")
    }
  }

  deinit { close(descriptor) }

  private func status() throws(FileError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileError("examine", path, code: errno) }
    return status
  }

  /// The file's size now, in bytes.
  package func size() throws(FileError) -> Int { Int(try status().st_size) }

  /// Fills `buffer` from `offset` on; returns how many bytes were read, fewer only at the end of the file.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
    var done = 0
    while done < buffer.count, let base = buffer.baseAddress {
      let count = pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw FileError("read", path, code: errno) }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// The bytes at `offset`; an error where the file has fewer.
  package func bytes(at offset: Int, count: Int) throws(FileError) -> [UInt8] {
    var failure: FileError?
    var found = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(FileError) { found = try read(at: offset, into: UnsafeMutableRawBufferPointer(buffer)) } catch { failure = error }
      initialized = found
    }
    if let failure { throw failure }
    guard found == count else { throw FileError("read", path, reason: "the file became shorter while it was in use") }
    return bytes
  }

  /// Goes through the rest of the file, from where it stands, in pieces of up to a megabyte, until `body` returns false. For one reader.
  package func forEachPiece(_ body: (UnsafeRawBufferPointer) -> Bool) throws(FileError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      #if canImport(Glibc)
        let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      #else
        let count = Darwin.read(descriptor, buffer.baseAddress, buffer.count)
      #endif
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw FileError("read", path, code: errno) }
      if count == 0 || !body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { return }
    }
  }
}
