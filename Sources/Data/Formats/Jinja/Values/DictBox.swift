extension Jinja {
  /// A dictionary in insertion order; it never changes once made.
  final class DictBox {
    let keys: [Value]
    let values: [Value]
    let depth: Int
    /// Only for dictionaries that are too long to be searched.
    private let index: [Key: Int]?

    static let searchedCount = 8

    /// Takes pairs whose keys are unique.
    init(uniqueKeys keys: [Value], values: [Value], index: [Key: Int]?) throws {
      self.keys = keys
      self.values = values
      self.index = index
      depth = max(try Value.depth(around: keys), try Value.depth(around: values))
    }

    convenience init(_ object: JSONObject) throws {
      var keys: [Value] = []
      var values: [Value] = []
      var index: [Key: Int]? = object.count > DictBox.searchedCount ? [:] : nil
      for (key, value) in object {
        let key = Text(key)
        index?[.text(key)] = keys.count
        keys.append(.text(key))
        values.append(try Value(value))
      }
      try self.init(uniqueKeys: keys, values: values, index: index)
    }

    convenience init(copying dict: DictBox) throws { try self.init(uniqueKeys: dict.keys, values: dict.values, index: dict.index) }

    var count: Int { keys.count }

    /// The place of a key that is a text; the common case.
    func place(of name: Text) -> Int? {
      if let index { return index[.text(name)] }
      for place in keys.indices { if case .text(let key) = keys[place], key == name { return place } }
      return nil
    }

    func place(of key: Value) throws -> Int? {
      if case .text(let text) = key { return place(of: text) }
      let key = try Key(key)
      if let index { return index[key] }
      for place in keys.indices where try Key(keys[place]) == key { return place }
      return nil
    }

    subscript(name: Text) -> Value? { place(of: name).map { values[$0] } }
  }

  /// Gathers pairs; a later value replaces an earlier one under an equal key, which keeps its place.
  struct DictBuilder {
    private var keys: [Value] = []
    private var values: [Value] = []
    private var index: [Key: Int] = [:]

    mutating func set(_ key: Value, _ value: Value) throws {
      let hashed = try Key(key)
      if let place = index[hashed] {
        values[place] = value
      } else {
        index[hashed] = keys.count
        keys.append(key)
        values.append(value)
      }
    }

    func build() throws -> DictBox {
      try DictBox(uniqueKeys: keys, values: values, index: keys.count > DictBox.searchedCount ? index : nil)
    }
  }

  /// A value as a key: equal numbers are equal keys whatever their type.
  enum Key: Hashable {
    case null
    case int(Int)
    case float(Double)
    case text(Text)
    case tuple([Key])
    case undefined
    case object(ObjectIdentifier)
    case function(String)

    init(_ value: Value) throws {
      var budget = 10_000
      try self.init(value, budget: &budget)
    }

    /// - Parameter budget: parts that a tuple may still have; tuples that share their parts would otherwise grow without end.
    private init(_ value: Value, budget: inout Int) throws {
      budget -= 1
      guard budget > 0 else { throw JinjaError(.limit, "a key of more than 10000 parts") }
      switch value {
      case .missing, .undefined: self = .undefined
      case .null: self = .null
      case .bool(let flag): self = .int(flag ? 1 : 0)
      case .int(let number): self = .int(number)
      case .float(let number): self = Int(exactly: number).map { .int($0) } ?? .float(number)
      case .text(let text): self = .text(text)
      case .tuple(let box):
        var parts: [Key] = []
        for item in box.items { parts.append(try Key(item, budget: &budget)) }
        self = .tuple(parts)
      case .range(let range): self = .object(ObjectIdentifier(range))
      case .namespace(let box): self = .object(ObjectIdentifier(box))
      case .iterator(let box): self = .object(ObjectIdentifier(box))
      case .loop(let box): self = .object(ObjectIdentifier(box))
      case .macro(let box): self = .object(ObjectIdentifier(box))
      case .helper(let box): self = .object(ObjectIdentifier(box))
      case .function(let function): self = .function(function.name)
      case .list, .dict, .view: throw JinjaError.runtime("unhashable type: '\(value.typeName)'")
      }
    }
  }
}

extension Jinja.Value {
  /// A value from outside. Numbers that JSON wrote with a fraction or exponent are floats.
  init(_ json: JSON) throws {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .number(let value): self = .float(value)
    case .string(let value): self = Value(value)
    case .array(let items): self = try .list(items.map { try Value($0) })
    case .object(let object):
      self = .dict(try Jinja.DictBox(object))
    }
  }
}

extension Jinja.Runtime {
  /// Charges the hashing of a key.
  func chargeKey(_ key: Value) throws { if case .text(let text) = key { try charge(bytes: text.byteCount) } }

  func set(_ key: Value, _ value: Value, in builder: inout Jinja.DictBuilder) throws {
    try chargeKey(key)
    try builder.set(key, value)
  }
}
