/* SPDX-License-Identifier: MIT */
/* Reads of textures at given places, and surfaces read and written. One thread for each place. */

#define AT (blockIdx.x * blockDim.x + threadIdx.x)

extern "C" __global__ void read_linear(cudaTextureObject_t t, int4 *out, int first, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex1Dfetch<int4>(t, first + i);
}

extern "C" __global__ void read_1d(cudaTextureObject_t t, float4 *out, const float *at, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex1D<float4>(t, at[i]);
}

extern "C" __global__ void read_2d(cudaTextureObject_t t, float4 *out, const float2 *at, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex2D<float4>(t, at[i].x, at[i].y);
}

extern "C" __global__ void read_2d_int(cudaTextureObject_t t, int4 *out, const float2 *at, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex2D<int4>(t, at[i].x, at[i].y);
}

extern "C" __global__ void read_3d(cudaTextureObject_t t, float *out, const float4 *at, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex3D<float>(t, at[i].x, at[i].y, at[i].z);
}

extern "C" __global__ void read_layered(cudaTextureObject_t t, float *out, const float4 *at, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex2DLayered<float>(t, at[i].x, at[i].y, (int)at[i].z);
}

extern "C" __global__ void read_layered_1d(cudaTextureObject_t t, float *out, const float2 *at, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex1DLayered<float>(t, at[i].x, (int)at[i].y);
}

extern "C" __global__ void read_level(cudaTextureObject_t t, float *out, const float4 *at, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex2DLod<float>(t, at[i].x, at[i].y, at[i].z);
}

extern "C" __global__ void gather(cudaTextureObject_t t, float4 *out, const float2 *at, int n)
{
	int i = AT;

	if (i < n)
		out[i] = tex2Dgather<float4>(t, at[i].x, at[i].y, 0);
}

/* (x, y) becomes (x + y * 16) in the red channel, its double in the second. */
extern "C" __global__ void write_2d(cudaSurfaceObject_t s)
{
	int x = threadIdx.x, y = blockIdx.x;

	surf2Dwrite(make_ushort2(x + y * 16, 2 * (x + y * 16)), s, x * (int)sizeof(ushort2), y);
}

/* Each element of the second is that of the first at (x + dx, y + dy), outside as the mode has it, and 1 more. */
extern "C" __global__ void shift_clamp(cudaSurfaceObject_t to, cudaSurfaceObject_t from, int dx, int dy)
{
	int x = threadIdx.x, y = blockIdx.x;
	int v = surf2Dread<int>(from, (x + dx) * 4, y + dy, cudaBoundaryModeClamp);

	surf2Dwrite(v + 1, to, x * 4, y);
}

extern "C" __global__ void shift_zero(cudaSurfaceObject_t to, cudaSurfaceObject_t from, int dx, int dy)
{
	int x = threadIdx.x, y = blockIdx.x;
	int v = surf2Dread<int>(from, (x + dx) * 4, y + dy, cudaBoundaryModeZero);

	surf2Dwrite(v + 1, to, (x + dx) * 4, y, cudaBoundaryModeZero);
}

extern "C" __global__ void fill_layers(cudaSurfaceObject_t s, int layers)
{
	int x = threadIdx.x, y = blockIdx.x;

	for (int k = 0; k < layers; k++)
		surf2DLayeredwrite((float)(x + 100 * y + 10000 * k), s, x * 4, y, k);
}

extern "C" __global__ void fill_volume(cudaSurfaceObject_t s, int slices)
{
	int x = threadIdx.x, y = blockIdx.x;

	for (int k = 0; k < slices; k++)
		surf3Dwrite(make_float4(x, y, k, 1), s, x * 16, y, k);
}
