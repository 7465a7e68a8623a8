#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file's bytes, mapped read-only; unmapped when the last reference goes.
///
/// The length is that at the time of opening. A file that is truncated by others while mapped ends the process on access, as with every
/// mapping; files that Swiftlet replaces are renamed over, never truncated.
public final class MappedFile: @unchecked Sendable {
  /// How a range is going to be read.
  public enum Access: Sendable { case normal, sequential, random, willNeed, dontNeed }

  /// The path as given.
  public let path: String
  /// The first byte; valid for `count` bytes as long as this object lives.
  public let pointer: UnsafeRawPointer
  /// Bytes in the file.
  public let count: Int

  /// Maps a regular file. Throws `FileError` where it cannot be opened, is no regular file, or has fewer than `minimumCount` bytes.
  public init(path: String, minimumCount: Int = 0) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { throw FileError("open", path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    if fstat(descriptor, &status) != 0 { throw FileError("examine", path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw FileError("map", path, reason: "it is not a regular file") }
    let size = Int(status.st_size)
    if size < minimumCount {
      throw FileError("map", path, reason: "wanted at least \(minimumCount) bytes, the file has \(size): it may be cut short")
    }
    self.path = path
    count = size
    if size == 0 {
      pointer = UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1))
      return
    }
    guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
      throw FileError("map", path, code: errno)
    }
    pointer = UnsafeRawPointer(start)
  }

  /// Calls `body` with the bytes, which are valid inside it.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(self) { try body(UnsafeRawBufferPointer(start: pointer, count: count)) }
  }

  /// Gives the memory of `bytes`, a part of this file, back to the system. They are read again when they are touched: a large file that is read
  /// part by part needs no more memory than a part.
  public func releasePages(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    let first = UnsafeRawPointer(start) - pointer
    advise(.dontNeed, first..<first + bytes.count)
  }

  /// Tells the system how a range of bytes will be read. A hint: it changes speed and residency, never contents.
  public func advise(_ access: Access, _ range: Range<Int>? = nil) {
    let range = (range ?? 0..<count).clamped(to: 0..<count)
    if range.isEmpty { return }
    let page = Int(getpagesize())
    let begin = range.lowerBound / page * page
    let advice: Int32 =
      switch access {
      case .normal: Int32(MADV_NORMAL)
      case .sequential: Int32(MADV_SEQUENTIAL)
      case .random: Int32(MADV_RANDOM)
      case .willNeed: Int32(MADV_WILLNEED)
      case .dontNeed: Int32(MADV_DONTNEED)
      }
    _ = madvise(UnsafeMutableRawPointer(mutating: pointer + begin), range.upperBound - begin, advice)
  }

  deinit {
    let start = UnsafeMutableRawPointer(mutating: pointer)
    if count == 0 { start.deallocate() } else { munmap(start, count) }
  }
}
