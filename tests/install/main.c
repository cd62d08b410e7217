/* An application outside the tree: makes a device and a graph, and uses Vulkan of its own where it can. */
#include <stdio.h>
#include <tuff/tuff.h>

#ifdef OWN_VULKAN
#include <vulkan/vulkan.h>
#endif

static tuff_status run(tuff_device *device, float *out)
{
    const float x[2] = {-1, 2};
    tuff_graph *graph = NULL;
    tuff_status status = tuff_graph_create(device, &graph);
    const tuff_tensor input = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(2));
    const tuff_tensor output = tuff_relu(graph, input);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_compile(graph, &output, 1);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_write(graph, input, x, sizeof x);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_run(graph);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_read(graph, output, out, 2 * sizeof *out);
    tuff_graph_destroy(graph);
    return status;
}

int main(void)
{
    tuff_device *device = NULL;
    float y[2] = {7, 7};
#ifdef OWN_VULKAN
    uint32_t version = 0;
    if (vkEnumerateInstanceVersion(&version) != VK_SUCCESS || version < VK_API_VERSION_1_0)
        return 2;
#endif
    /* Takes all that reads JSON and Unicode out of libtuff.a. */
    tuff_tokenizer *tokenizer = NULL;
    if (tuff_tokenizer_load("no such folder", &tokenizer) != TUFF_ERROR_IO)
        return 3;
    tuff_status status = tuff_device_create(NULL, &device);
    if (status == TUFF_SUCCESS)
        status = run(device, y);
    tuff_device_destroy(device);
    if (status != TUFF_SUCCESS)
        fprintf(stderr, "%s\n", tuff_last_error());
    printf("tuff %s: %g %g\n", tuff_version(), (double)y[0], (double)y[1]);
    return status == TUFF_SUCCESS && y[0] == 0 && y[1] == 2 ? 0 : 1;
}
