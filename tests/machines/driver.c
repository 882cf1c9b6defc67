/* Runs plans that were compiled for this machine, each with 1, 2 and 3 threads, and writes their outputs.
 *
 * usage: driver PROGRAMS OUTPUTS. Both are int64 words and bytes; `cross.py` writes the one and reads the other.
 *
 *   programs, and for each
 *     size, given, from, to, addresses, groups
 *     offsets[addresses]                    below 0: function -1 - offset
 *     the first `given` bytes of memory     (padded to 8)
 *     for each group: launches, and for each
 *       run, finish, blocks, n, p, slots[n], patches[3 p]
 *
 * A patch (slot, address, offset) is as in runtime/runner.py. Memory beyond `given` is full of 0xa5 at first.
 * Written are the bytes `from` to `to` of it, for each program and count of threads.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*function)(int64_t *slots, int64_t begin, int64_t end);
extern const function functions[];
enum { MOST = 3 };

typedef struct {
    function run, finish;
    int64_t blocks, *slots;
} launch;

typedef struct {
    launch *launches;
    int64_t count, begin, end;
} share;

static void *take(void *given) {
    share *own = given;
    int64_t first = 0;
    for (int64_t k = 0; k < own->count; k++) {
        launch *l = own->launches + k;
        int64_t from = own->begin > first ? own->begin - first : 0;
        int64_t to = own->end - first < l->blocks ? own->end - first : l->blocks;
        if (from < to)
            l->run(l->slots, from, to);
        first += l->blocks;
    }
    return NULL;
}

static int64_t *group(int64_t *at, const int64_t *addresses, int threads) {
    int64_t count = *at++, units = 0;
    launch *launches = calloc(count, sizeof *launches);
    for (int64_t k = 0; k < count; k++) {
        int64_t run = at[0], finish = at[1], n = at[3], p = at[4];
        launches[k].run = functions[run];
        launches[k].finish = finish < 0 ? NULL : functions[finish];
        launches[k].blocks = at[2];
        launches[k].slots = malloc(8 * n + 8);
        memcpy(launches[k].slots, at + 5, 8 * n);
        int64_t *patches = at + 5 + n;
        for (int64_t j = 0; j < p; j++)
            launches[k].slots[patches[3 * j]] = addresses[patches[3 * j + 1]] + patches[3 * j + 2];
        at = patches + 3 * p;
        units += launches[k].blocks;
    }
    pthread_t workers[MOST];
    share shares[MOST];
    for (int t = threads - 1; t >= 0; t--) { /* the last share begins first */
        shares[t] = (share){launches, count, units * t / threads, units * (t + 1) / threads};
        if (t == 0)
            take(&shares[t]);
        else if (pthread_create(&workers[t], NULL, take, &shares[t]))
            exit(3);
    }
    for (int t = 1; t < threads; t++)
        pthread_join(workers[t], NULL);
    for (int64_t k = 0; k < count; k++) {
        if (launches[k].finish)
            launches[k].finish(launches[k].slots, 0, launches[k].blocks);
        free(launches[k].slots);
    }
    free(launches);
    return at;
}

int main(int argc, char **argv) {
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL, *out = file ? fopen(argv[2], "wb") : NULL;
    if (!out || fseek(file, 0, SEEK_END))
        return 1;
    long length = ftell(file);
    int64_t *words = malloc(length), *at = words, *next = at;
    rewind(file);
    if (fread(words, 1, length, file) != (size_t)length)
        return 1;
    int64_t programs = *at++;
    for (int64_t k = 0; k < programs; k++, at = next) {
        int64_t size = at[0], given = at[1], from = at[2], to = at[3], count = at[4], groups = at[5];
        int64_t *offsets = at + 6, *content = offsets + count, *body = content + (given + 7) / 8;
        for (int threads = 1; threads <= MOST; threads++) {
            char *memory = aligned_alloc(64, size);
            int64_t *addresses = malloc(8 * count + 8);
            memset(memory, 0xa5, size);
            memcpy(memory, content, given);
            for (int64_t j = 0; j < count; j++)
                addresses[j] = offsets[j] < 0 ? (int64_t)functions[-1 - offsets[j]] : (int64_t)memory + offsets[j];
            next = body;
            for (int64_t g = 0; g < groups; g++)
                next = group(next, addresses, threads);
            fwrite(memory + from, 1, to - from, out);
            free(addresses);
            free(memory);
        }
    }
    return fclose(out) ? 1 : 0;
}
