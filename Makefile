# SPDX-License-Identifier: GPL-2.0-only
#
# make            build the module for the running kernel (or KVER=<release>)
# make demo       see it at work, in a virtual machine
# make check      the test suite, in virtual machines (KERNELS="6.1 6.12")
# make bench      what claimed and stock maps cost (KERNELS, ROWS="hash*", REAL=1)
# make lint       what the code has to pass besides
# make shell      a root shell in the test machine, module loaded (KERNEL=6.12)
# make install    install the module for KVER
#
# What a target needs from Debian it installs, once.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
KERNELS ?= 6.1 6.12
KERNEL ?= 6.12

BUILD = build/$(KVER)

all: modules

# Kbuild builds beside its sources; links to them let each kernel have a
# folder of its own.
modules:
	@scripts/build-module $(KVER) $(BUILD)

check:
	@scripts/check $(KERNELS)

demo:
	@scripts/demo $(KERNEL)

bench:
	@scripts/bench $(if $(REAL),--real "$(REAL)") $(if $(ROWS),--rows "$(ROWS)") $(KERNELS)

lint:
	@scripts/lint $(KERNELS)

shell:
	@scripts/shell $(KERNEL)

install: modules
	$(MAKE) -s -C $(KDIR) M=$(CURDIR)/$(BUILD) modules_install
	depmod $(KVER)

clean:
	rm -rf build

.PHONY: all modules check demo bench lint shell install clean
