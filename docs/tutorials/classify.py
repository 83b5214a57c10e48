# %% [markdown]
# # classify
