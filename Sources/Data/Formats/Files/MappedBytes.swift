import Glibc

/// A file mapped read-only into memory; unmapped when the last reference goes. Pages are read when they are touched.
package final class MappedBytes: Sendable {
  /// The path as it was given.
  package let path: String
  /// Size in bytes.
  package let count: Int
  // The address as a number: a pointer would take `Sendable` away, and these bytes never change.
  private let address: UInt

  /// Maps a regular file.
  /// - Throws: `DataFileError` where it cannot be opened or mapped.
  package init(_ path: String) throws(DataFileError) {
    let file = try FileDescriptor(reading: path)
    let size = try file.size()
    self.path = path
    count = size
    if size == 0 {
      address = 0
      return
    }
    guard let mapped = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.descriptor, 0), mapped != MAP_FAILED else {
      throw DataFileError(path: path, doing: "map \(size) bytes", errno: errno)
    }
    address = UInt(bitPattern: mapped)
  }

  deinit { if let base = UnsafeMutableRawPointer(bitPattern: address) { munmap(base, count) } }

  /// All bytes. The pointer lives as long as this object: keep the object.
  package var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: count)
  }

  /// Tells the system that the bytes will not be needed soon, so that it may drop their pages.
  package func release(_ range: Range<Int>) {
    let page = 4096
    let lower = (range.lowerBound + page - 1) / page * page
    let upper = range.upperBound == count ? count : range.upperBound / page * page
    guard lower < upper, let base = UnsafeMutableRawPointer(bitPattern: address) else { return }
    madvise(base + lower, upper - lower, MADV_DONTNEED)
  }
}
