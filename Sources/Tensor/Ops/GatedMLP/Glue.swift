import SwiftletCUDA
import SwiftletTensorCore

func normRows(_ x: Tensor, _ norm: RMSNormOperands, into: DevicePointer, stride: Int) {}
func normBackward(_ dn: Tensor, _ x: Tensor, _ norm: RMSNormOperands, arrived: Tensor, into: Tensor) {}
func gateForward(_ gate: Tensor, _ up: Tensor, _ activation: GateActivation, columns: Int, into: Tensor) {}
func gateBackward(_ gate: Tensor, _ up: Tensor, _ d: Tensor, _ activation: GateActivation, columns: Int) {}
func copyRows(_ x: Tensor, first: Int = 0, columns: Int, into: DevicePointer, stride: Int, as dtype: DType? = nil, factor: Float) {}
extension Dropout {
  func dropped(_ x: Tensor) -> Tensor { x }
  func apply(_ x: Tensor, to: Tensor, accumulate: Bool) {}
}
