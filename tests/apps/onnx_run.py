# SPDX-License-Identifier: MIT
"""ONNX Runtime with its CUDA provider: a small net, made here, runs."""
from app import check, finish, need, result, skip

np, runtime = need("numpy", "onnxruntime")
onnx = need("onnx")
if "CUDAExecutionProvider" not in runtime.get_available_providers():
    skip("this onnxruntime has no CUDA provider")
helper, kind = onnx.helper, onnx.TensorProto.FLOAT
weights = np.random.RandomState(0).randn(64, 32).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["y"])], "net",
    [helper.make_tensor_value_info("x", kind, [16, 64])], [helper.make_tensor_value_info("y", kind, [16, 32])],
    [onnx.numpy_helper.from_array(weights, "w")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 9
session = runtime.InferenceSession(model.SerializeToString(), providers=["CUDAExecutionProvider"])
if "CUDAExecutionProvider" not in session.get_providers():
    skip("the CUDA provider does not load")
x = np.random.RandomState(1).randn(16, 64).astype(np.float32)
y = session.run(None, {"x": x})[0]
check("the net's answer", np.allclose(y, np.maximum(x @ weights, 0), atol=1e-2))
result("answer", y)
finish()
