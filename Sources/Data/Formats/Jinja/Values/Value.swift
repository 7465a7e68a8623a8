extension Jinja {
  /// A value of the language: Python's, without anything that could change in place except namespaces, cyclers and iterators.
  enum Value {
    /// A variable that nothing was stored in; expressions never see it.
    case missing
    case undefined(Undefined)
    case null
    case bool(Bool)
    case int(Int)
    case float(Double)
    case text(Text)
    case list(ListBox)
    case tuple(ListBox)
    case dict(DictBox)
    case range(PythonRange)
    case view(DictView)
    case namespace(NamespaceBox)
    case iterator(IteratorBox)
    case loop(LoopBox)
    case macro(MacroBox)
    case function(Function)
    case helper(Helper)

    init(_ text: String) { self = .text(Text(text)) }
  }

  /// Why a value is undefined: said when it is used.
  final class Undefined {
    let hint: String?
    let owner: String?
    let name: Text?
    let isSecurity: Bool

    init(hint: String? = nil, owner: String? = nil, name: Text? = nil, isSecurity: Bool = false) {
      self.hint = hint
      self.owner = owner
      self.name = name
      self.isSecurity = isSecurity
    }

    var error: JinjaError {
      let name = name?.string ?? ""
      let message = hint ?? owner.map { "'\($0)' has no attribute '\(name)'" } ?? "'\(name)' is undefined"
      return JinjaError(isSecurity ? .security : .undefined, message)
    }
  }

  /// The elements of a list or tuple; they never change.
  final class ListBox {
    let items: [Value]
    /// How deep lists and dictionaries nest here.
    let depth: Int
    /// A pair made by `groupby`, whose parts have the names `grouper` and `list`.
    let isGroup: Bool

    init(_ items: [Value], isGroup: Bool = false) throws {
      self.items = items
      self.isGroup = isGroup
      depth = try Value.depth(around: items)
    }
  }

  /// Python's `range`.
  final class PythonRange {
    let start: Int
    let stop: Int
    let step: Int
    let count: Int

    init(start: Int, stop: Int, step: Int) throws {
      guard step != 0 else { throw JinjaError.runtime("range() arg 3 must not be zero") }
      self.start = start
      self.stop = stop
      self.step = step
      let (span, overflow) = stop.subtractingReportingOverflow(start)
      let isEmpty = step > 0 ? start >= stop : start <= stop
      count = isEmpty ? 0 : overflow ? .max : (Int(bitPattern: span.magnitude) - 1) / Int(clamping: step.magnitude) + 1
    }

    subscript(index: Int) -> Value { .int(start &+ index &* step) }
  }

  /// `dict.keys()`, `.values()` and `.items()`.
  final class DictView {
    enum Part: String { case keys, values, items }
    let part: Part
    let dict: DictBox

    init(_ part: Part, of dict: DictBox) {
      self.part = part
      self.dict = dict
    }

    func item(_ index: Int) throws -> Value {
      switch part {
      case .keys: dict.keys[index]
      case .values: dict.values[index]
      case .items: .tuple(try ListBox([dict.keys[index], dict.values[index]]))
      }
    }
  }

  /// `namespace()`: the one thing that a template may write into.
  final class NamespaceBox: Emptiable {
    var attributes: [(name: Text, value: Value)] = []

    func empty() { attributes = [] }

    subscript(name: Text) -> Value? {
      get { attributes.first { $0.name == name }?.value }
      set {
        let place = attributes.firstIndex { $0.name == name }
        switch (place, newValue) {
        case (let place?, let value?): attributes[place].value = value
        case (nil, let value?): attributes.append((name, value))
        default: break
        }
      }
    }
  }

  typealias Stream = () throws -> Value?

  /// A generator: what lazy filters return. It can be walked through once.
  final class IteratorBox {
    let next: Stream
    let typeName: String
    let depth: Int

    /// - Parameter source: the value that is walked through, for the limit on iterators over iterators.
    init(over source: Value, typeName: String = "generator", next: @escaping Stream) throws {
      self.next = next
      self.typeName = typeName
      depth = source.depth + 8
      guard depth <= JinjaLimits.valueDepth else { throw JinjaError(.limit, "iterators nested too deep") }
    }
  }

  /// A function that templates may call.
  struct Function {
    let name: String
    let depth: Int
    let call: (Arguments, Runtime) throws -> Value
  }

  /// `cycler()` and `joiner()`.
  final class Helper {
    enum Kind { case cycler, joiner }
    let kind: Kind
    let items: [Value]
    let depth: Int
    var position = 0

    init(_ kind: Kind, _ items: [Value]) throws {
      self.kind = kind
      self.items = items
      depth = try Value.depth(around: items)
    }
  }
}

extension Jinja.Value {
  typealias Value = Jinja.Value
  typealias Text = Jinja.Text

  /// How deep containers nest in this value.
  var depth: Int {
    switch self {
    case .list(let box), .tuple(let box): box.depth
    case .dict(let box): box.depth
    case .view(let view): view.dict.depth
    case .iterator(let box): box.depth
    case .function(let function): function.depth
    case .helper(let helper): helper.depth
    case .loop(let loop): loop.valueDepth
    default: 0
    }
  }

  static func depth(around items: some Sequence<Value>) throws -> Int {
    var deepest = 0
    for item in items { deepest = max(deepest, item.depth) }
    guard deepest < JinjaLimits.valueDepth else { throw JinjaError(.limit, "values nested deeper than \(JinjaLimits.valueDepth)") }
    return deepest + 1
  }

  /// Python's name of the type.
  var typeName: String {
    switch self {
    case .missing, .undefined: "Undefined"
    case .null: "NoneType"
    case .bool: "bool"
    case .int: "int"
    case .float: "float"
    case .text(let text): text.isMarkup ? "Markup" : "str"
    case .list: "list"
    case .tuple: "tuple"
    case .dict: "dict"
    case .range: "range"
    case .view(let view): "dict_" + view.part.rawValue
    case .namespace: "Namespace"
    case .iterator(let box): box.typeName
    case .loop: "LoopContext"
    case .macro: "Macro"
    case .function: "function"
    case .helper(let helper): helper.kind == .cycler ? "Cycler" : "Joiner"
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  var isTrue: Bool {
    switch self {
    case .missing, .undefined, .null: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .float(let value): value != 0
    case .text(let text): !text.isEmpty
    case .list(let box), .tuple(let box): !box.items.isEmpty
    case .dict(let box): box.count > 0
    case .range(let range): range.count > 0
    case .view(let view): view.dict.count > 0
    case .namespace, .iterator, .loop, .macro, .function, .helper: true
    }
  }

  /// The value as Python's `__index__` gives it: integers and Booleans.
  var index: Int? {
    switch self {
    case .int(let value): value
    case .bool(let value): value ? 1 : 0
    default: nil
    }
  }

  var text: Text? { if case .text(let text) = self { text } else { nil } }

  static func list(_ items: [Value]) throws -> Value { .list(try Jinja.ListBox(items)) }
  static func tuple(_ items: [Value]) throws -> Value { .tuple(try Jinja.ListBox(items)) }
  static func undefined(named name: Text) -> Value { .undefined(.init(name: name)) }
  static func undefined(hint: String) -> Value { .undefined(.init(hint: hint)) }
}
