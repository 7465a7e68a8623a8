import CPlatform

/// The process's thread pool.
public enum Parallel {
  /// Threads in use, the caller's included. At first `SWIFTLET_THREADS`, else the processors this process may run on.
  ///
  /// Results never depend on it: work is cut by its size alone.
  public static var threads: Int {
    get { Int(swiftlet_thread_count()) }
    set { swiftlet_set_thread_count(Int32(clamping: newValue)) }
  }

  /// Items per chunk for `count` items: at least `grain`, and at most 64 chunks.
  static func chunk(_ count: Int, grain: Int) -> Int { max(grain, (count + 63) / 64, 1) }
}

private struct Body {
  let run: (Range<Int>) -> Void
}

private func call(_ body: (Range<Int>) -> Void, count: Int, chunk: Int) {
  withoutActuallyEscaping(body) { run in
    withUnsafePointer(to: Body(run: run)) { pointer in
      swiftlet_parallel_for(
        count, chunk,
        { context, begin, end in
          guard let context else { return }
          context.assumingMemoryBound(to: Body.self).pointee.run(Int(begin)..<Int(end))
        }, UnsafeMutableRawPointer(mutating: pointer))
    }
  }
}

/// Calls `body` with ranges that together are `0..<count`, on all threads of the pool, and returns when all are done.
///
/// The cut depends on `count` and `grain` (the least number of items worth a task) only; which thread takes which range is
/// open, so a range must write nothing that another one reads or writes. Calls from inside a range run inline. A call costs
/// about 1 µs when the pool is awake.
public func parallelFor(_ count: Int, grain: Int = 1, _ body: (Range<Int>) -> Void) {
  if count <= 0 { return }
  if count <= grain { return body(0..<count) }
  call(body, count: count, chunk: Parallel.chunk(count, grain: grain))
}

/// Reduces `0..<count` in blocks of exactly `block` items: `partial` in parallel, then `combine` from the first block to the last,
/// so that the result has the same bits on any number of threads.
public func parallelReduce<Value>(
  _ count: Int, block: Int, _ initial: Value, partial: (Range<Int>) -> Value, combine: (Value, Value) -> Value
) -> Value {
  if count <= 0 { return initial }
  let blocks = (count + block - 1) / block
  if blocks == 1 { return combine(initial, partial(0..<count)) }
  let values = UnsafeMutablePointer<Value>.allocate(capacity: blocks)
  call(
    { range in
      for i in range { (values + i).initialize(to: partial(i * block..<min(count, (i + 1) * block))) }
    }, count: blocks, chunk: 1)
  defer {
    values.deinitialize(count: blocks)
    values.deallocate()
  }
  return (0..<blocks).reduce(initial) { combine($0, values[$1]) }
}
