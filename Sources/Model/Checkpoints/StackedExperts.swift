import SwiftletCPU
import SwiftletFormats
import SwiftletModels
import SwiftletOps
import SwiftletTensorCore

/// gpt-oss's experts: a layer's are stacked in one tensor for gate and up in turn and one for down, transposed, or coded in MXFP4. Here each is a
/// matrix of its own under a name of its own; everything else is as stored.
final class StackedExperts: WeightFile {
  private struct Stack {
    /// Without `_blocks`.
    let name: String
    let experts: Int
    /// Rows of the whole stack for an expert, those of gate and up together, and their columns; columns 0 for a bias.
    let rows: Int
    let columns: Int
    let isCoded: Bool
  }

  private static let most = 8192
  private static let mostNames = 1 << 20
  private let base: StoredTensors
  private var stacks: [String: Stack] = [:]
  let names: [String]

  /// - Throws: where a stack's sizes make no sense.
  init(_ base: StoredTensors) throws {
    self.base = base
    var used = Set<String>()
    var names: [String] = []
    for name in base.names {
      guard let stack = try Self.stack(name, base) else { continue }
      guard stacks.updateValue(stack, forKey: stack.name) == nil else {
        throw CheckpointError(name, "the same experts stand in the files twice, as numbers and in MXFP4")
      }
      used.formUnion(stack.isCoded ? [name, stack.name + "_scales"] : [name])
      let path = name.prefix(upTo: name.lastIndex(of: ".") ?? name.endIndex)
      let leaf = stack.columns == 0 ? "bias" : "weight"
      let projections =
        stack.name.hasSuffix("down_proj") || stack.name.hasSuffix("down_proj_bias") ? ["down_proj"] : ["gate_proj", "up_proj"]
      guard names.count < Self.mostNames else { throw CheckpointError(name, "at most \(Self.mostNames) parameters of experts are wanted") }
      for expert in 0..<stack.experts { names += projections.map { "\(path).\(expert).\($0).\(leaf)" } }
    }
    self.names = (base.names.filter { !used.contains($0) } + names).sorted()
  }

  private static func stack(_ name: String, _ base: StoredTensors) throws -> Stack? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count > 1, parts[parts.count - 2] == "experts", let leaf = parts.last, let shape = base.shape(name) else { return nil }
    let isPaired = leaf.hasPrefix("gate_up_proj")
    func made(_ wanted: String, _ fits: Bool, rows: @autoclosure () -> Int, columns: @autoclosure () -> Int, isCoded: Bool = false) throws
      -> Stack
    {
      guard fits, shape[0] <= most, !isPaired || rows() % 2 == 0 else {
        throw CheckpointError(name, "\(wanted) with at most \(most) experts is wanted, found \(shape)")
      }
      return Stack(
        name: isCoded ? String(name.dropLast("_blocks".count)) : name, experts: shape[0], rows: rows(), columns: columns(), isCoded: isCoded
      )
    }
    switch leaf {
    case "gate_up_proj", "down_proj":
      return try made("[experts, in, out]", shape.count == 3 && shape.allSatisfy { $0 > 0 }, rows: shape[2], columns: shape[1])
    case "gate_up_proj_bias", "down_proj_bias":
      return try made("[experts, out]", shape.count == 2 && shape.allSatisfy { $0 > 0 }, rows: shape[1], columns: 0)
    case "gate_up_proj_blocks", "down_proj_blocks":
      let scales = name.dropLast("_blocks".count) + "_scales"
      let fits = shape.count == 4 && shape.allSatisfy { $0 > 0 } && shape[3] == 16 && shape[2] < 1 << 24
      let stack = try made("[experts, out, in / 32, 16]", fits, rows: shape[1], columns: 32 * shape[2], isCoded: true)
      guard base.shape(String(scales)) == Array(shape.dropLast()) else {
        throw CheckpointError(String(scales), "\(shape.dropLast()) is wanted beside \(name), found \(base.shape(String(scales)) ?? [])")
      }
      guard base.fileFormat(name) == .u8, base.fileFormat(String(scales)).map({ [.u8, .f8E8M0].contains($0) }) == true else {
        throw CheckpointError(name, "bytes (U8) are wanted for codes and scales, found \(base.fileFormat(name)?.rawValue ?? "nothing")")
      }
      return stack
    default: return nil
    }
  }

  private func find(_ name: String) -> (place: ExpertPlace, stack: Stack)? {
    guard let place = ExpertPlace(name), let stack = stacks[place.stack], place.expert < stack.experts else { return nil }
    return (place, stack)
  }

  func shape(_ name: String) -> [Int]? {
    guard let (place, stack) = find(name) else { return base.shape(name) }
    let rows = stack.rows / place.turns.count
    return place.isBias ? [rows] : [rows, stack.columns]
  }

  func format(_ name: String) -> DType? {
    guard let (_, stack) = find(name) else { return base.format(name) }
    return stack.isCoded ? nil : base.format(stack.name)
  }

  func companions(of name: String) -> [String] {
    guard let (_, stack) = find(name) else { return base.companions(of: name) }
    return stack.isCoded ? [stack.name + "_scales"] : []
  }

  func codedFormat(_ name: String) -> QuantizationFormat? {
    guard let (_, stack) = find(name) else { return base.codedFormat(name) }
    return stack.isCoded ? .fp4 : nil
  }

  func tensor(_ name: String) throws -> Tensor {
    guard let (place, stack) = find(name) else { return try base.tensor(name) }
    if stack.isCoded { return try coded(place, stack).dequantized(part: .weights) }
    let whole = try base.tensor(stack.name)
    guard whole.dtype.isFloat else { throw CheckpointError(stack.name, "F32, BF16 or F16 is wanted, found \(whole.dtype)") }
    let part = Tensor(uninitialized: Shape(shape(name) ?? []), whole.dtype, part: .weights)
    ExpertStack.copy(part, place, stack: whole, isCut: true)
    whole.storage.releasePages()
    return part
  }

  func matrix(_ name: String, shape: Shape) throws -> QuantizedMatrix? {
    guard let (place, stack) = find(name) else { return try base.matrix(name, shape: shape) }
    guard stack.isCoded else { return nil }
    guard self.shape(name) == shape.dimensions else {
      throw CheckpointError(name, "a matrix \(shape) is wanted, found \(self.shape(name) ?? []) in \(stack.name)_blocks")
    }
    return try coded(place, stack)
  }

  private func coded(_ place: ExpertPlace, _ stack: Stack) throws -> QuantizedMatrix {
    let turns = place.turns
    return MXFP4.matrix(
      blocks: try base.octets(stack.name + "_blocks"), scales: try base.octets(stack.name + "_scales"),
      firstRow: place.expert * stack.rows + turns.index, step: turns.count, shape: [stack.rows / turns.count, stack.columns])
  }
}

/// The form of a dense stack.
enum ExpertStack {
  /// Copies an expert's parameter out of its stack, or into it.
  /// - Parameter part: [out, in] or [out] of one expert; `stack`: [experts, in, turns · out] or [experts, turns · out], of the same format.
  static func copy(_ part: Tensor, _ place: ExpertPlace, stack: Tensor, isCut: Bool) {
    if part.dtype.size == 4 {
      copy(part, place, stack, isCut, UInt32.self)
    } else {
      copy(part, place, stack, isCut, UInt16.self)
    }
  }

  private static func copy<Word: BitwiseCopyable>(_ part: Tensor, _ place: ExpertPlace, _ stack: Tensor, _ isCut: Bool, _: Word.Type) {
    let (turns, rows) = (place.turns, part.shape[0])
    let columns = place.isBias ? 1 : part.shape[1]
    let stride = rows * turns.count
    let narrow = (part.storage.pointer + part.byteOffset).assumingMemoryBound(to: Word.self)
    let wide = (stack.storage.pointer + stack.byteOffset).assumingMemoryBound(to: Word.self) + place.expert * stride * columns
    withExtendedLifetime((part.storage, stack.storage)) {
      // A few rows of the part at a time: neighbours in the stack, each a stream of its own in the part.
      parallelFor((rows + 15) / 16, grain: max(1, (1 << 11) / columns)) { range in
        for first in range {
          for column in 0..<columns {
            for row in first * 16..<min(rows, first * 16 + 16) {
              let at = column * stride + row * turns.count + turns.index
              if isCut { narrow[row * columns + column] = wide[at] } else { wide[at] = narrow[row * columns + column] }
            }
          }
        }
      }
    }
  }
}

/// Puts the parameters of experts together as files want them.
struct ExpertStacking {
  /// Makes an expert's parameter in a format.
  typealias Making = (DType) throws -> Tensor
  private var order: [String] = []
  private var parts: [String: [(place: ExpertPlace, shape: Shape, dtype: DType, make: Making)]] = [:]

  /// Takes a parameter.
  mutating func add(_ place: ExpertPlace, _ shape: Shape, _ dtype: DType, _ make: @escaping Making) {
    if parts[place.stack] == nil { order.append(place.stack) }
    parts[place.stack, default: []].append((place, shape, dtype, make))
  }

  /// One tensor for each stack, in the order of the first parts.
  var entries: [TensorEntry] {
    order.compactMap { name in
      guard let parts = parts[name], let first = parts.first else { return nil }
      let experts = parts.reduce(0) { max($0, $1.place.expert + 1) }
      let rows = first.shape[0] * first.place.turns.count
      let shape: Shape = first.place.isBias ? [experts, rows] : [experts, first.shape[1], rows]
      return TensorEntry(name: name, shape: shape, dtype: first.dtype) {
        let stack = Tensor(zeros: shape, first.dtype, part: .workspace)
        for part in parts { ExpertStack.copy(try part.make(first.dtype), part.place, stack: stack, isCut: false) }
        return stack
      }
    }
  }
}
