/*
 * Layers of the recipes, and of networks that people train: ResNet-18, ResNet-50 and VGG-16 with images of 32 and of
 * 224 pixels a side, as torchvision has them; at 32 a ResNet begins with 3 x 3 and without pooling, as is usual for
 * CIFAR-10. A convolution in front of a batch norm has no bias; VGG's have one.
 *
 * Images of a lane: 32 of fashion-cnn's 128 in 4 lanes; 128 of 32 pixels and 32 of 224, which is what 8 lanes on 8
 * devices make of batches of 1024 and 256.
 */
#include "tests/gpu/engines/networks.h"

#include <cstring>

static const int64_t SMALL = 32, IMAGES_SMALL = 128, IMAGES_LARGE = 32;
static const int64_t WIDTHS[] = {64, 128, 256, 512};
enum { N_STAGES = 4 };

struct builder {
    std::vector<layer> layers;
    int64_t N, side, channels; /* of what the next layer reads */

    /* A layer from `channels` to O; what follows reads its result. */
    void add(int64_t O, int64_t K, int64_t stride, int64_t padding, bool bias)
    {
        const int64_t out = (side + 2 * padding - K) / stride + 1;
        layer l;

        l.shape = {N, side, side, channels, O, K, K, out, out, stride, stride, padding, padding, 1};
        l.bias = bias;
        side = out;
        channels = O;
        for (const layer &other : layers)
            if (memcmp(&other.shape, &l.shape, sizeof l.shape) == 0 && other.bias == bias) return;
        layers.push_back(l);
    }

    void begin(int64_t images, int64_t pixels, int64_t colours) { N = images, side = pixels, channels = colours; }
};

/* The branch that makes x the shape of the block's result. */
static void shortcut(builder *b, int64_t out, int64_t stride)
{
    const builder before = *b;

    if (stride == 1 && b->channels == out) return;
    b->add(out, 1, stride, 0, false);
    b->side = before.side;
    b->channels = before.channels;
}

static void basic_block(builder *b, int64_t width, int64_t stride)
{
    shortcut(b, width, stride);
    b->add(width, 3, stride, 1, false);
    b->add(width, 3, 1, 1, false);
}

static void bottleneck(builder *b, int64_t width, int64_t stride)
{
    enum { EXPANSION = 4 };

    shortcut(b, EXPANSION * width, stride);
    b->add(width, 1, 1, 0, false);
    b->add(width, 3, stride, 1, false);
    b->add(EXPANSION * width, 1, 1, 0, false);
}

static void resnet(builder *b, int64_t pixels, void (*block)(builder *, int64_t, int64_t))
{
    b->begin(pixels == SMALL ? IMAGES_SMALL : IMAGES_LARGE, pixels, 3);
    if (pixels == SMALL) {
        b->add(WIDTHS[0], 3, 1, 1, false);
    } else {
        b->add(WIDTHS[0], 7, 2, 3, false);
        b->side /= 2; /* the pooling */
    }
    /* The second block of a stage stands for all that follow it. */
    for (int stage = 0; stage < N_STAGES; stage++) {
        block(b, WIDTHS[stage], stage == 0 ? 1 : 2);
        block(b, WIDTHS[stage], 1);
    }
}

static void vgg16(builder *b, int64_t pixels)
{
    static const int64_t POOL = 0, plan[] = {64,  64,  POOL, 128, 128, POOL, 256, 256, 256,
                                             POOL, 512, 512,  512, POOL, 512, 512, 512};

    b->begin(pixels == SMALL ? IMAGES_SMALL : IMAGES_LARGE, pixels, 3);
    for (const int64_t width : plan) {
        if (width == POOL) b->side /= 2;
        else b->add(width, 3, 1, 1, true);
    }
}

static void fashion_cnn(builder *b)
{
    enum { IMAGES = 32, PIXELS = 28 };

    b->begin(IMAGES, PIXELS, 1);
    b->add(32, 3, 1, 1, false);
    b->side /= 2;
    b->add(64, 3, 1, 1, false);
}

/* What nobody has: one channel, primes, images smaller than the kernel, paddings larger than it, strides past all. */
static void odd(builder *b)
{
    /*                                 N  side  I   O   K  stride padding */
    static const int64_t shapes[][7] = {
        {1, 1, 1, 1, 1, 1, 0},  {1, 3, 1, 1, 3, 1, 1},   {1, 11, 7, 13, 5, 1, 2}, {3, 7, 17, 19, 2, 2, 0},
        {1, 13, 3, 16, 7, 3, 3}, {5, 9, 8, 11, 1, 2, 0}, {1, 4, 3, 2, 1, 1, 1},   {2, 12, 4, 6, 3, 3, 4},
        {2, 2, 5, 3, 3, 4, 1},
    };

    for (const auto &v : shapes) {
        b->begin(v[0], v[1], v[2]);
        b->add(v[3], v[4], v[5], v[6], true);
    }
}

std::vector<layer> layers_of_networks()
{
    builder b = {};

    odd(&b);
    fashion_cnn(&b);
    for (const int64_t pixels : {SMALL, (int64_t)224}) {
        resnet(&b, pixels, basic_block);
        resnet(&b, pixels, bottleneck);
        vgg16(&b, pixels);
    }
    return b.layers;
}
