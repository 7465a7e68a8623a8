extension Jinja.Runtime {
  /// `value.name`: an attribute or method where the type has it, else the item under that key.
  func attribute(_ name: Text, of value: Value) throws -> Value {
    try charge(bytes: name.byteCount)
    if let found = try member(name, of: value) { return found }
    if case .dict(let dict) = value, let item = dict[name] { return item }
    return .undefined(.init(owner: Self.ownerName(value), name: name))
  }

  /// `value[key]`: an item, else (for a string) the attribute of that name.
  func item(_ key: Value, of value: Value) throws -> Value {
    switch value {
    case .undefined(let undefined): throw undefined.error
    case .dict(let dict):
      // A key that cannot be hashed is only missing, as jinja2 catches the error.
      try chargeKey(key)
      if let place = try? dict.place(of: key) { return dict.values[place] }
    case .text, .list, .tuple, .range: if let item = try element(key, of: value) { return item }
    default: break
    }
    if case .text(let name) = key, let found = try member(name, of: value) { return found }
    if case .text(let name) = key { return .undefined(.init(owner: Self.ownerName(value), name: name)) }
    return .undefined(hint: "\(Self.ownerName(value)) has no element \(try representation(key).string)")
  }

  private func element(_ key: Value, of value: Value) throws -> Value? {
    guard let index = key.index else { return nil }
    if case .text(let text) = value, !text.isASCII { try charge(bytes: text.byteCount) }
    let count = try length(value)
    let place = index < 0 ? index + count : index
    guard (0..<count).contains(place) else { return nil }
    switch value {
    case .text(let text): return .text(text.scalars(place..<place + 1))
    case .list(let box), .tuple(let box): return box.items[place]
    case .range(let range): return range[place]
    default: return nil
    }
  }

  /// What jinja2's messages call a value.
  private static func ownerName(_ value: Value) -> String {
    switch value {
    case .null: "None"
    case .namespace: "jinja2.utils.Namespace object"
    case .loop: "jinja2.runtime.LoopContext object"
    case .macro: "jinja2.runtime.Macro object"
    case .helper: "jinja2.utils.\(value.typeName) object"
    case .text(let text) where text.isMarkup: "markupsafe.Markup object"
    default: "\(value.typeName) object"
    }
  }

  /// What the type of `value` itself has under `name`; an undefined value where the sandbox keeps it back.
  private func member(_ name: Text, of value: Value) throws -> Value? {
    switch value {
    case .undefined(let undefined):
      guard Self.specialNames.contains(name.string), !Self.namesOfFunctions.contains(name.string) else { throw undefined.error }
    case .namespace(let namespace): return namespace[name].map { name.buffer.bytes.first == UInt8(ascii: "_") ? unsafe(name, value) : $0 }
    case .loop(let loop): return try member(name.string, of: loop)
    case .macro(let macro): return try member(name.string, of: macro)
    case .helper(let helper): return member(name.string, of: helper)
    case .tuple(let box) where box.isGroup:
      if name.string == "grouper" { return box.items[0] }
      if name.string == "list" { return box.items[1] }
    case .int, .bool, .float: if let found = number(name.string, of: value) { return found }
    case .range(let range):
      switch name.string {
      case "start": return .int(range.start)
      case "stop": return .int(range.stop)
      case "step": return .int(range.step)
      default: break
      }
    default: break
    }
    return try methodValue(name, of: value)
  }

  private func unsafe(_ name: Text, _ value: Value) -> Value {
    let message = "access to attribute '\(name.string)' of '\(value.typeName)' object is unsafe."
    return .undefined(.init(hint: message, name: name, isSecurity: true))
  }

  private func methodValue(_ name: Text, of value: Value) throws -> Value? {
    let text = name.string
    if text.hasPrefix("__"), text.hasSuffix("__"), Self.specialNames.contains(text) { return unsafe(name, value) }
    if Self.mutators(of: value).contains(text) { return unsafe(name, value) }
    guard let method = method(text, of: value) else { return nil }
    return .function(.init(name: text, depth: value.depth, call: method))
  }

  /// Attributes that every Python object has; the sandbox names them in its refusal.
  private static let specialNames: Set<String> = [
    "__class__", "__init__", "__dict__", "__doc__", "__getattribute__", "__subclasshook__", "__reduce__", "__reduce_ex__", "__new__",
    "__repr__", "__str__", "__hash__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__dir__", "__sizeof__", "__format__",
    "__delattr__", "__setattr__", "__init_subclass__", "__getitem__", "__len__", "__iter__", "__contains__", "__add__", "__mul__",
    "__call__", "__globals__", "__code__", "__func__", "__self__", "__module__", "__name__", "__html__",
  ]

  /// Those of them that undefined values have not.
  private static let namesOfFunctions: Set<String> = [
    "__dict__", "__contains__", "__globals__", "__code__", "__func__", "__self__", "__name__", "__html__",
  ]

  private static func mutators(of value: Value) -> Set<String> {
    switch value {
    case .list: ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"]
    case .dict: ["clear", "pop", "popitem", "setdefault", "update"]
    default: []
    }
  }

  private func number(_ name: String, of value: Value) -> Value? {
    switch (name, value) {
    case ("real", .float), ("real", .int): value
    case ("real", _), ("numerator", .int), ("numerator", .bool): value.index.map { .int($0) }
    case ("imag", .float): .float(0)
    case ("imag", _): .int(0)
    case ("denominator", .int), ("denominator", .bool): .int(1)
    default: nil
    }
  }

  private func member(_ name: String, of loop: Jinja.LoopBox) throws -> Value? {
    switch name {
    case "index": return .int(loop.index + 1)
    case "index0": return .int(loop.index)
    case "first": return .bool(loop.index == 0)
    case "last": return .bool(try loop.peek() == nil)
    case "length": return .int(try loop.count(self))
    case "revindex": return .int(try loop.count(self) - loop.index)
    case "revindex0": return .int(try loop.count(self) - loop.index - 1)
    case "depth": return .int(loop.depth + 1)
    case "depth0": return .int(loop.depth)
    case "previtem": return loop.index == 0 ? .undefined(hint: "there is no previous item") : loop.previous
    case "nextitem": return try loop.peek() ?? .undefined(hint: "there is no next item")
    case "cycle":
      return .function(
        .init(name: name, depth: loop.valueDepth) { arguments, _ in
          let items = arguments.positional
          guard !items.isEmpty else { throw JinjaError.runtime("no items for cycling given") }
          return items[max(loop.index, 0) % items.count]
        })
    case "changed":
      return .function(
        .init(name: name, depth: loop.valueDepth) { arguments, runtime in .bool(try loop.hasChanged(arguments.positional, runtime)) })
    default: return nil
    }
  }

  private func member(_ name: String, of macro: Jinja.MacroBox) throws -> Value? {
    switch name {
    case "name": macro.code.name.map { Value($0) } ?? .null
    case "arguments": try .tuple(macro.code.parameters.map { Value($0.name) })
    case "catch_kwargs": .bool(macro.code.namedRest != nil)
    case "catch_varargs": .bool(macro.code.rest != nil)
    case "caller": .bool(macro.code.caller != nil)
    default: nil
    }
  }

  private func member(_ name: String, of helper: Jinja.Helper) -> Value? {
    switch (helper.kind, name) {
    case (.cycler, "current"): helper.items[helper.position]
    case (.cycler, "pos"): .int(helper.position)
    case (.cycler, "next"):
      .function(
        .init(name: name, depth: helper.depth) { _, _ in
          defer { helper.position = (helper.position + 1) % helper.items.count }
          return helper.items[helper.position]
        })
    case (.cycler, "reset"):
      .function(
        .init(name: name, depth: helper.depth) { _, _ in
          helper.position = 0
          return .null
        })
    case (.joiner, "sep"): helper.items[0]
    case (.joiner, "used"): .bool(helper.position > 0)
    default: nil
    }
  }

  // MARK: Calls

  /// Calls what can be called.
  func call(_ callee: Value, _ arguments: Jinja.Arguments) throws -> Value {
    switch callee {
    case .function(let function): return try function.call(arguments, self)
    case .macro(let macro): return .text(try macro.call(arguments))
    case .loop(let loop):
      let bound = try arguments.bind("loop", ["iterable"], required: 1)
      return .text(try loop.render(bound[0] ?? .null))
    case .helper(let helper) where helper.kind == .joiner:
      defer { helper.position = 1 }
      return helper.position == 0 ? Value("") : helper.items[0]
    case .undefined(let undefined): throw undefined.error
    default: throw JinjaError.runtime("'\(callee.typeName)' object is not callable")
    }
  }

  /// The method `name` of `value`, unless the sandbox refuses it.
  func method(_ name: String, of value: Value) -> ((Jinja.Arguments, Jinja.Runtime) throws -> Value)? {
    switch value {
    case .text(let text):
      guard let method = Jinja.StringMethods.table[name] else { return nil }
      return { arguments, runtime in try method(text, arguments, runtime) }
    case .dict(let dict):
      guard let method = Jinja.ContainerMethods.dict[name] else { return nil }
      return { arguments, runtime in try method(dict, arguments, runtime) }
    case .list, .tuple, .range:
      guard let method = Jinja.ContainerMethods.sequence[name] else { return nil }
      if name == "copy" { guard case .list = value else { return nil } }
      return { arguments, runtime in try method(value, arguments, runtime) }
    case .int, .bool, .float:
      guard let method = Jinja.ContainerMethods.number(name, of: value) else { return nil }
      return { arguments, runtime in try method(value, arguments, runtime) }
    default: return nil
    }
  }
}
