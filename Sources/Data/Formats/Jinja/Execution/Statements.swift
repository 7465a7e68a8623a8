extension Jinja {
  struct DataNode: Executable {
    let bytes: [UInt8]
    func execute(_ activation: Activation) throws -> Flow {
      try activation.runtime.write(bytes)
      return .next
    }
  }

  struct OutputNode: Executable {
    let value: any Evaluable
    func execute(_ activation: Activation) throws -> Flow {
      let runtime = activation.runtime
      try runtime.write(runtime.text(of: value.evaluate(activation)).bytes)
      return .next
    }
  }

  struct IfNode: Executable {
    let branches: [(test: any Evaluable, body: Body)]
    let otherwise: Body

    func execute(_ activation: Activation) throws -> Flow {
      for (test, body) in branches {
        try activation.runtime.step()
        if try test.evaluate(activation).isTrue { return try body.run(activation) }
      }
      return try otherwise.run(activation)
    }
  }

  struct FlowNode: Executable {
    let flow: Flow
    func execute(_ activation: Activation) throws -> Flow { flow }
  }

  struct SetNode: Executable {
    let destination: Destination
    let value: any Evaluable

    func execute(_ activation: Activation) throws -> Flow {
      try destination.checkNamespaces(activation)
      try destination.store(value.evaluate(activation), activation)
      return .next
    }
  }

  /// `{% set x %}…{% endset %}` and `{% filter f %}…{% endfilter %}` (which has no destination).
  struct CaptureNode: Executable {
    let entry: ScopeEntry
    let body: Body
    let filter: (any Evaluable)?
    let destination: Destination?

    func execute(_ activation: Activation) throws -> Flow {
      let runtime = activation.runtime
      try entry.enter(activation)
      let (text, flow) = try runtime.capture { try body.run(activation) }
      // A `break` inside leaves the block before anything is stored.
      guard flow == .next else { return flow }
      let value = try filtered(text, activation)
      if let destination {
        try destination.checkNamespaces(activation)
        try destination.store(value, activation)
      } else {
        try runtime.write(runtime.text(of: value).bytes)
      }
      return .next
    }

    private func filtered(_ text: Text, _ activation: Activation) throws -> Value {
      guard let filter else { return .text(text) }
      activation.filtered.append(text)
      defer { activation.filtered.removeLast() }
      return try filter.evaluate(activation)
    }
  }

  struct WithNode: Executable {
    let entry: ScopeEntry
    let values: [(destination: Destination, value: any Evaluable)]
    let body: Body

    func execute(_ activation: Activation) throws -> Flow {
      try entry.enter(activation)
      for (destination, value) in values { try destination.store(value.evaluate(activation), activation) }
      return try body.run(activation)
    }
  }

  /// A template block: rendered in place, with variables of the top level only (or, `scoped`, all that are in sight).
  struct BlockNode: Executable {
    let entry: ScopeEntry
    let body: Body
    let slotCount: Int
    /// For a scoped block: names that it looks up and where they are found outside.
    let scoped: [(slot: Slot, source: Slot)]

    func execute(_ activation: Activation) throws -> Flow {
      let runtime = activation.runtime
      try runtime.nestedCall {
        try runtime.withScope(in: nil, slotCount: slotCount) { inner in
          try entry.enter(inner)
          for (slot, source) in scoped {
            let value = activation[source]
            if case .missing = value { continue }
            inner[slot] = value
          }
          _ = try body.run(inner)
        }
      }
      return .next
    }
  }
}
