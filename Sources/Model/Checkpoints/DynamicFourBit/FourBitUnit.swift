/// What is measured by itself: a linear layer, or all experts of a block, which stand in files as one part.
struct FourBitUnit {
  /// The path in Hugging Face files that holds them and nothing else.
  let name: String
  /// The block that they belong to.
  let block: Int
  /// The path of the one layer that vLLM makes of this and its neighbours, so that they stay in 16 bits together; `name` for none.
  let group: String
  private(set) var linears: [FourBitLinear]

  /// Bytes that the file grows by where they stay in 16 bits.
  var extraBytes: Int { linears.reduce(0) { $0 + $1.extraBytes } }

  /// The units of a model's linear layers, in the order of the model.
  /// - Throws: where a layer stands outside of `model.layers`.
  static func all(_ linears: [FourBitLinear]) throws -> [FourBitUnit] {
    var (units, places): ([FourBitUnit], [String: Int]) = ([], [:])
    for linear in linears {
      let words = linear.linear.path.split(separator: ".")
      guard words.count > 3, words[1] == "layers", let block = Int(words[2]) else {
        throw CheckpointError(
          linear.linear.path, "a linear layer of a block, model.layers.N…, is wanted: take plain 4 bits, which measure nothing")
      }
      let end = words.firstIndex(of: "experts").map { $0 + 1 } ?? words.count
      let name = words[..<end].joined(separator: ".")
      if let place = places[name] {
        units[place].linears.append(linear)
      } else {
        places[name] = units.count
        units.append(FourBitUnit(name: name, block: block, group: group(of: name), linears: [linear]))
      }
    }
    return units
  }

  private static func group(of name: String) -> String {
    let fused = ["q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj", "gate_proj": "gate_up_proj", "up_proj": "gate_up_proj"]
    var words = name.split(separator: ".").map(String.init)
    guard let last = words.popLast(), let whole = fused[last] else { return name }
    return (words + [whole]).joined(separator: ".")
  }
}
