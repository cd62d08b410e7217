/* recorder_absent.c: stands in for vk/vk_recorder.c in a build without Vulkan, where no program ever records. */
#include "recorder.h"

static tuff_status absent(const tuff_op_call *call)
{
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s: this build of tuff has no Vulkan", call->op->name);
}

tuff_status tuff__dispatch_record(tuff__recorder *recorder, const tuff_op_call *call, const tuff__dispatch *dispatch)
{
    (void)recorder;
    (void)dispatch;
    return absent(call);
}

tuff_status tuff__fill_record(tuff__recorder *recorder, const tuff_op_call *call, tuff__slice slice, uint32_t word)
{
    (void)recorder;
    (void)slice;
    (void)word;
    return absent(call);
}
