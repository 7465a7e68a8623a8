extension Jinja.Runtime {
  typealias Value = Jinja.Value
  typealias Text = Jinja.Text
  typealias Stream = Jinja.Stream

  /// Python's `iter`.
  func stream(_ value: Value) throws -> Stream {
    switch value {
    case .list(let box), .tuple(let box): return Self.stream(over: box.items)
    case .dict(let dict): return Self.stream(over: dict.keys)
    case .text(let text):
      var place = 0
      return {
        guard place < text.byteCount else { return nil }
        let end = place + text.scalar(at: place).length
        defer { place = end }
        return .text(text.window(place..<end).plain)
      }
    case .range(let range): return Self.stream(count: range.count) { range[$0] }
    case .view(let view): return Self.stream(count: view.dict.count) { try view.item($0) }
    case .iterator(let box): return box.next
    case .undefined, .missing: return { nil }
    default: throw JinjaError.runtime("'\(value.typeName)' object is not iterable")
    }
  }

  static func stream(over items: [Value]) -> Stream {
    var index = 0
    return {
      guard index < items.count else { return nil }
      defer { index += 1 }
      return items[index]
    }
  }

  private static func stream(count: Int, _ item: @escaping (Int) throws -> Value) -> Stream {
    var index = 0
    return {
      guard index < count else { return nil }
      defer { index += 1 }
      return try item(index)
    }
  }

  /// Python's `list(value)`.
  func items(_ value: Value) throws -> [Value] {
    switch value {
    case .list(let box), .tuple(let box):
      try charge(steps: box.items.count / 8)
      return box.items
    case .range(let range): try charge(steps: range.count)
    default: break
    }
    let next = try stream(value)
    var items: [Value] = []
    while let item = try next() {
      try step()
      items.append(item)
    }
    return items
  }

  /// Python's `len`.
  func length(_ value: Value) throws -> Int {
    if let length = value.knownLength { return length }
    if case .loop(let loop) = value { return try loop.count(self) }
    throw JinjaError.runtime("object of type '\(value.typeName)' has no len()")
  }

  /// Python's `value[start:stop:step]`.
  func slice(_ value: Value, _ start: Value?, _ stop: Value?, _ step: Value?) throws -> Value {
    if case .undefined(let undefined) = value { throw undefined.error }
    let step = try bound(step) ?? 1
    guard step != 0 else { throw JinjaError.runtime("slice step cannot be zero") }
    let window = { (count: Int) throws -> Window in
      try Window(count: count, start: self.bound(start), stop: self.bound(stop), step: step)
    }
    switch value {
    case .text(let text):
      if !text.isASCII { try charge(bytes: text.byteCount) }
      return .text(try slice(text, window(text.count)))
    case .list(let box): return try .list(pick(box.items, window(box.items.count)))
    case .tuple(let box): return try .tuple(pick(box.items, window(box.items.count)))
    case .range(let range):
      let window = try window(range.count)
      let (stride, overflow) = range.step.multipliedReportingOverflow(by: window.step)
      guard !overflow else { throw Self.integerOverflow }
      return .range(
        try .init(start: range.start &+ window.start &* range.step, stop: range.start &+ window.stop &* range.step, step: stride))
    default: throw JinjaError.runtime("'\(value.typeName)' object is not subscriptable")
    }
  }

  private func bound(_ value: Value?) throws -> Int? {
    switch value {
    case nil, .some(.null): return nil
    case .some(let value):
      if let index = value.index { return index }
      throw JinjaError.runtime("slice indices must be integers or None or have an __index__ method")
    }
  }

  private func pick(_ items: [Value], _ window: Window) throws -> [Value] {
    try charge(steps: 1 + window.count / 8)
    return window.indices.map { items[$0] }
  }

  private func slice(_ text: Text, _ window: Window) throws -> Text {
    try charge(bytes: window.count)
    if window.step == 1 { return text.scalars(window.start..<max(window.start, window.stop)) }
    try checkAffords(steps: text.count)
    let characters = text.characters
    var bytes: [UInt8] = []
    for index in window.indices { bytes += characters[index].bytes }
    return Text(bytes, isMarkup: text.isMarkup)
  }

  /// Python's `slice.indices`: which places of a sequence a slice takes.
  struct Window {
    let start: Int
    let stop: Int
    let step: Int

    init(count: Int, start: Int?, stop: Int?, step: Int) {
      // A longer step than the sequence takes the same places, and cannot overflow.
      self.step = min(max(step, -count - 1), count + 1)
      let low = step > 0 ? 0 : -1
      let high = step > 0 ? count : count - 1
      func clamp(_ index: Int) -> Int { min(max(index < 0 ? index + count : index, low), high) }
      self.start = start.map(clamp) ?? (step > 0 ? low : high)
      self.stop = stop.map(clamp) ?? (step > 0 ? high : low)
    }

    var indices: StrideTo<Int> { stride(from: start, to: stop, by: step) }
    var count: Int {
      let distance = step > 0 ? stop - start : start - stop
      return distance <= 0 ? 0 : (distance - 1) / abs(step) + 1
    }
  }
}

extension Jinja.Value {
  /// The length, where the type has one that needs no walk through the items.
  var knownLength: Int? {
    switch self {
    case .text(let text): text.count
    case .list(let box), .tuple(let box): box.items.count
    case .dict(let dict): dict.count
    case .range(let range): range.count
    case .view(let view): view.dict.count
    case .undefined, .missing: 0
    default: nil
    }
  }
}
