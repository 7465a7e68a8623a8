import SwiftletLayers
import SwiftletModels
import SwiftletTensorCore

/// Other weights in the place of some linear layers: exact ones with the adapter merged in, or coded ones. Memory: both, for these layers.
final class WeightStandIns {
  private struct Place {
    let linear: Linear
    let weight: Parameter
    let adapter: LoRAAdapter?
    let exact: Parameter
    let coded: Parameter?
  }
  private var places: [(unit: Int, place: Place)] = []

  /// Makes the weights of `units`, by their numbers, and puts the exact ones in place.
  /// - Parameter withCodes: whether coded ones are wanted as well.
  init(_ units: [(Int, FourBitUnit)], _ placement: Placement, withCodes: Bool = true) throws {
    for (index, unit) in units {
      for layer in unit.linears {
        let weight = layer.linear.weight
        let exact = Parameter(name: weight.name, shape: weight.shape, value: try layer.exact())
        let coded = withCodes ? Parameter(name: weight.name, shape: weight.shape) : nil
        try coded?.store(layer.coded())
        if placement.device.isCUDA {
          [exact, coded].forEach { $0?.move(to: placement.device, computing: placement.computeType) }
        }
        let place = Place(linear: layer.linear, weight: weight, adapter: layer.linear.adapter, exact: exact, coded: coded)
        places.append((index, place))
      }
    }
    for (_, place) in places { place.linear.adapter = nil }
    code([])
  }

  /// Lets the layers of these units read codes, the others exact weights.
  func code(_ units: Set<Int>) {
    for (unit, place) in places {
      place.linear.replace(place.linear.weight, with: units.contains(unit) ? place.coded ?? place.exact : place.exact)
    }
  }

  /// Puts the model's own weights and adapters back.
  func restore() {
    for (_, place) in places {
      place.linear.replace(place.linear.weight, with: place.weight)
      place.exact.releasePages()
      place.linear.adapter = place.adapter
    }
  }
}
