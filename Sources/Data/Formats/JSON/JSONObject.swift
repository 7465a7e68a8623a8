/// Key and value pairs in file order, found by key in constant time. Keys are unique, byte by byte.
///
/// Two objects are equal where they have the same pairs in the same order.
public struct JSONObject: Hashable, Sendable {
  /// Keys in file order.
  public private(set) var keys: [String] = []
  private var values: [JSON] = []
  // Most objects are small, and for those a walk over the keys is faster and far smaller than a table.
  private var places: [ExactString: Int]?
  private static let tableFrom = 9

  /// An empty object.
  public init() {}

  /// Builds an object from pairs; a later pair replaces an earlier one of the same key.
  public init(_ pairs: [(String, JSON)]) {
    for (key, value) in pairs { self[key] = value }
  }

  /// Number of keys.
  public var count: Int { keys.count }

  /// The pair at `index` in file order.
  public func pair(at index: Int) -> (key: String, value: JSON) { (keys[index], values[index]) }

  /// The value under `key`; setting nil removes the key (in time linear in the number of keys).
  public subscript(key: String) -> JSON? {
    get { place(of: key).map { values[$0] } }
    set {
      switch (place(of: key), newValue) {
      case (let place?, let value?): values[place] = value
      case (let place?, nil): remove(place)
      case (nil, let value?): add(key, value)
      case (nil, nil): break
      }
    }
  }

  /// Appends a pair whose key is new; returns false, and changes nothing, where the key exists.
  mutating func append(_ key: String, _ value: JSON) -> Bool {
    guard place(of: key) == nil else { return false }
    add(key, value)
    return true
  }

  private func place(of key: String) -> Int? {
    if let places { return places[ExactString(key)] }
    return keys.firstIndex { $0.utf8.elementsEqual(key.utf8) }
  }

  private mutating func add(_ key: String, _ value: JSON) {
    keys.append(key)
    values.append(value)
    if places != nil {
      places?[ExactString(key)] = keys.count - 1
    } else if keys.count >= Self.tableFrom {
      makeTable()
    }
  }

  private mutating func remove(_ place: Int) {
    keys.remove(at: place)
    values.remove(at: place)
    places = nil
    if keys.count >= Self.tableFrom { makeTable() }
  }

  private mutating func makeTable() {
    places = Dictionary(keys.enumerated().map { (ExactString($1), $0) }) { first, _ in first }
  }

  /// The same pairs in the same order, keys compared by their bytes.
  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.count == b.count && zip(a.keys, b.keys).allSatisfy { $0.utf8.elementsEqual($1.utf8) } && a.values == b.values
  }

  /// Hashes pairs in order.
  public func hash(into hasher: inout Hasher) {
    for (key, value) in zip(keys, values) {
      hasher.combine(ExactString(key))
      hasher.combine(value)
    }
  }
}

extension JSONObject: Sequence {
  /// Iterates over the pairs in file order.
  public func makeIterator() -> AnyIterator<(key: String, value: JSON)> {
    var index = 0
    return AnyIterator {
      guard index < count else { return nil }
      defer { index += 1 }
      return pair(at: index)
    }
  }
}
