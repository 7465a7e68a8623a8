extension Jinja {
  /// A variable's place at run time: so many activations outwards, then that slot.
  struct Slot: Sendable {
    let hops: Int
    let index: Int
  }

  /// What happens to a variable when its scope is entered.
  enum Load: Sendable {
    /// Nothing: its value is put there.
    case parameter
    /// Looked up among the variables of the render, by its index in the template's table of names.
    case resolve(Int)
    /// Copied from an outer scope.
    case alias(Reference)
    /// Emptied: the scope stores it before it reads it.
    case undefined
  }

  /// A slot of a function, seen from nowhere in particular.
  struct Reference: Hashable, Sendable {
    let function: Int
    let index: Int
  }

  /// A unit with slots of its own: the template, a macro, the body of a call, a recursive loop, a loop's filter.
  final class FunctionScope {
    let id: Int
    let parent: FunctionScope?
    private var slots: [SlotKey: Int] = [:]
    private(set) var slotCount = 0

    private struct SlotKey: Hashable {
      let level: Int
      let name: Name
    }

    init(id: Int, parent: FunctionScope?) {
      self.id = id
      self.parent = parent
    }

    /// One slot for each name at each level of scopes, as jinja2 names its Python variables.
    func slot(level: Int, name: Name) -> Int {
      let key = SlotKey(level: level, name: name)
      if let found = slots[key] { return found }
      defer { slotCount += 1 }
      slots[key] = slotCount
      return slotCount
    }
  }

  /// The names of one scope and where their values come from, by the rules of jinja2's static scoping.
  ///
  /// A branch of an `if` is a `Symbols` over the same level that keeps only what the branch adds to `base`.
  final class Symbols {
    let level: Int
    let function: FunctionScope
    let parent: Symbols?
    private let base: Symbols?
    private(set) var references: [Name: Reference] = [:]
    private(set) var loads: [Reference: Load] = [:]
    private(set) var order: [Reference] = []
    private(set) var stores: Set<Name> = []

    init(parent: Symbols?, function: FunctionScope) {
      self.parent = parent
      self.function = function
      level = (parent?.level ?? -1) + 1
      base = nil
    }

    private init(branchOf base: Symbols) {
      self.base = base
      parent = base.parent
      function = base.function
      level = base.level
    }

    private func own(_ name: Name) -> Reference? { references[name] ?? base?.own(name) }
    private func hasStored(_ name: Name) -> Bool { stores.contains(name) || base?.hasStored(name) == true }

    func find(_ name: Name) -> Reference? { own(name) ?? parent?.find(name) }

    private func define(_ name: Name, _ load: Load) -> Reference {
      let reference = Reference(function: function.id, index: function.slot(level: level, name: name))
      references[name] = reference
      setLoad(reference, load)
      return reference
    }

    private func setLoad(_ reference: Reference, _ load: Load) {
      if loads.updateValue(load, forKey: reference) == nil { order.append(reference) }
    }

    func store(_ name: Name) {
      stores.insert(name)
      guard own(name) == nil else { return }
      _ = define(name, parent?.find(name).map { .alias($0) } ?? .undefined)
    }

    @discardableResult
    func declare(_ name: Name) -> Reference {
      stores.insert(name)
      return define(name, .parameter)
    }

    func load(_ name: Name, names: inout NameTable) {
      if find(name) == nil { _ = define(name, .resolve(names.index(of: name))) }
    }

    func branch() -> Symbols { Symbols(branchOf: self) }

    /// Takes over what the branches of an `if` added: a name that only some of them store keeps its outer value in the others.
    func merge(_ branches: [Symbols], names: inout NameTable) {
      var stored: [Name] = []
      for branch in branches { stored += branch.stores.filter { !hasStored($0) } }
      for branch in branches {
        references.merge(branch.references) { $1 }
        for reference in branch.order { if let load = branch.loads[reference] { setLoad(reference, load) } }
        stores.formUnion(branch.stores)
      }
      for name in stored {
        guard let target = find(name) else { continue }
        setLoad(target, parent?.find(name).map { .alias($0) } ?? .resolve(names.index(of: name)))
      }
    }
  }

  /// The names that a template looks up in its variables, each once.
  struct NameTable: Sendable {
    private(set) var names: [String] = []
    private var indices: [Name: Int] = [:]

    mutating func index(of name: Name) -> Int {
      if let found = indices[name] { return found }
      indices[name] = names.count
      names.append(name.text)
      return names.count - 1
    }
  }
}
